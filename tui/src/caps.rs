//! What the terminal can show: colours and characters, out of the environment.

/// How many colours may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Colors {
    /// None: neither foreground nor background is ever set.
    Mono,
    /// The sixteen that every terminal has.
    Ansi16,
    /// The palette of 256.
    Ansi256,
    /// 24 bits.
    True,
}

/// What somebody said about colours on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// By the environment.
    #[default]
    Auto,
    /// Always, whatever `NO_COLOR` says.
    Always,
    /// Never.
    Never,
}

/// What a terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// Colours.
    pub colors: Colors,
    /// Whether characters beyond ASCII may be used.
    pub utf8: bool,
    /// Whether the cursor cannot be moved: one frame is printed and that is all.
    pub dumb: bool,
}

impl Caps {
    /// The least: plain ASCII without colour.
    pub const PLAIN: Self = Self { colors: Colors::Mono, utf8: false, dumb: false };

    /// Reads the environment through `var`, so that it can be tested.
    #[must_use]
    pub fn detect(choice: ColorChoice, var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|it| !it.is_empty());
        let term = set("TERM").unwrap_or_default();
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(|name| set(name)).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Self {
            colors: colors(choice, &term, &set),
            utf8: locale.contains("utf-8") || locale.contains("utf8"),
            dumb: term == "dumb" || term.is_empty(),
        }
    }
}

fn colors(choice: ColorChoice, term: &str, set: &impl Fn(&str) -> Option<String>) -> Colors {
    let refused = set("NO_COLOR").is_some() && choice != ColorChoice::Always;
    if choice == ColorChoice::Never || refused || term == "dumb" {
        return Colors::Mono;
    }
    let depth = set("COLORTERM").unwrap_or_default();
    if depth == "truecolor" || depth == "24bit" {
        Colors::True
    } else if term.contains("256color") || term.contains("direct") {
        Colors::Ansi256
    } else {
        Colors::Ansi16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides() {
        let check = |choice: ColorChoice, vars: &[(&str, &str)], colors: Colors, utf8: bool| {
            let var = |name: &str| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            let caps = Caps::detect(choice, var);
            assert_eq!((caps.colors, caps.utf8), (colors, utf8), "{vars:?}");
        };
        let auto = ColorChoice::Auto;
        check(auto, &[("TERM", "xterm-256color"), ("LANG", "en_US.UTF-8")], Colors::Ansi256, true);
        check(auto, &[("TERM", "xterm"), ("COLORTERM", "truecolor"), ("LANG", "C.utf8")], Colors::True, true);
        check(auto, &[("TERM", "linux"), ("LC_ALL", "C"), ("LANG", "en_US.UTF-8")], Colors::Ansi16, false);
        check(auto, &[("TERM", "xterm-256color"), ("NO_COLOR", "1")], Colors::Mono, false);
        check(auto, &[("TERM", "xterm-256color"), ("NO_COLOR", "")], Colors::Ansi256, false);
        check(ColorChoice::Always, &[("TERM", "xterm-256color"), ("NO_COLOR", "1")], Colors::Ansi256, false);
        check(ColorChoice::Never, &[("TERM", "xterm-256color"), ("COLORTERM", "24bit")], Colors::Mono, false);
        check(auto, &[("TERM", "dumb"), ("COLORTERM", "truecolor")], Colors::Mono, false);
    }
}
