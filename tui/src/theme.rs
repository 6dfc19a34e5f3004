//! Roles and glyphs: screens say what a thing means, the theme says how that looks on this terminal.

use ratatui::style::{Color, Modifier, Style};

use crate::caps::{Caps, Colors};

/// What a piece of text means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Plain.
    Text,
    /// Less important, or old.
    Dim,
    /// In order.
    Ok,
    /// Somebody should look today.
    Warn,
    /// Somebody should look now.
    Crit,
    /// Taken out of service on purpose.
    Out,
    /// Titles of panels and columns.
    Title,
    /// The chosen row.
    Chosen,
    /// The bar at the top.
    Bar,
    /// The bar when something is wrong with the picture itself.
    Alarm,
    /// A key in the hints.
    Key,
    /// Frames of panels.
    Frame,
}

impl Role {
    /// All of them, for tables and tests.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 12] = [
        Self::Text,
        Self::Dim,
        Self::Ok,
        Self::Warn,
        Self::Crit,
        Self::Out,
        Self::Title,
        Self::Chosen,
        Self::Bar,
        Self::Alarm,
        Self::Key,
        Self::Frame,
    ];
}

/// The characters that are drawn.
#[derive(Debug)]
pub(crate) struct Glyphs {
    pub(crate) ok: &'static str,
    pub(crate) warn: &'static str,
    pub(crate) crit: &'static str,
    pub(crate) draining: &'static str,
    pub(crate) out: &'static str,
    pub(crate) unknown: &'static str,
    pub(crate) dash: &'static str,
    pub(crate) cursor: &'static str,
    pub(crate) mark: &'static str,
    pub(crate) up: &'static str,
    pub(crate) down: &'static str,
    pub(crate) more: &'static str,
    pub(crate) bar: &'static str,
    pub(crate) degree: &'static str,
    /// Horizontal, vertical, then the corners: top left, top right, bottom left, bottom right.
    pub(crate) lines: [&'static str; 6],
    pub(crate) spark: [&'static str; 8],
    pub(crate) heat: [&'static str; 8],
}

const UNICODE: Glyphs = Glyphs {
    ok: "●",
    warn: "▲",
    crit: "✖",
    draining: "◐",
    out: "⊘",
    unknown: "?",
    dash: "–",
    cursor: "▶",
    mark: "✓",
    up: "▲",
    down: "▼",
    more: "›",
    bar: "│",
    degree: "°",
    lines: ["─", "│", "┌", "┐", "└", "┘"],
    spark: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    heat: ["·", "·", "░", "░", "▒", "▒", "▓", "█"],
};

const ASCII: Glyphs = Glyphs {
    ok: "o",
    warn: "!",
    crit: "X",
    draining: "~",
    out: "-",
    unknown: "?",
    dash: "-",
    cursor: ">",
    mark: "*",
    up: "^",
    down: "v",
    more: ">",
    bar: "|",
    degree: "C",
    lines: ["-", "|", "+", "+", "+", "+"],
    spark: ["_", ".", ":", "-", "=", "+", "*", "#"],
    heat: [".", ".", ":", "-", "=", "+", "*", "#"],
};

/// Lightness rises with the value, so that the ramp reads without seeing hues.
const HEAT_TRUE: [u32; 8] =
    [0x00_3f_5c, 0x12_35_70, 0x3b_49_6c, 0x57_5d_6d, 0x8a_87_79, 0xc4_b5_6c, 0xe4_cf_5b, 0xfe_e8_38];
const HEAT_256: [u8; 8] = [18, 19, 24, 59, 102, 143, 185, 220];
const HEAT_16: [Color; 8] =
    [Color::Blue, Color::Blue, Color::Cyan, Color::Cyan, Color::Gray, Color::Gray, Color::Yellow, Color::LightYellow];

/// How meanings look on one terminal.
#[derive(Debug)]
pub(crate) struct Theme {
    colors: Colors,
    ascii: bool,
    pub(crate) glyphs: &'static Glyphs,
}

impl Theme {
    pub(crate) fn new(caps: Caps) -> Self {
        Self { colors: caps.colors, ascii: !caps.utf8, glyphs: if caps.utf8 { &UNICODE } else { &ASCII } }
    }

    /// Whether only ASCII may be drawn.
    pub(crate) fn is_ascii(&self) -> bool {
        self.ascii
    }

    /// The style of a role. Without colours only bold, dim and inverse tell things apart.
    pub(crate) fn style(&self, role: Role) -> Style {
        let style = Style::new();
        let style = match self.color(role) {
            Some(color) => style.fg(color),
            None => style,
        };
        let mono = self.colors == Colors::Mono;
        match role {
            Role::Text | Role::Ok => style,
            Role::Dim | Role::Out => style.add_modifier(Modifier::DIM),
            Role::Frame if mono => style.add_modifier(Modifier::DIM),
            Role::Frame => style,
            Role::Warn if !mono => style,
            Role::Warn | Role::Title | Role::Key => style.add_modifier(Modifier::BOLD),
            Role::Crit if mono => style.add_modifier(Modifier::BOLD | Modifier::REVERSED),
            Role::Crit => style.add_modifier(Modifier::BOLD),
            Role::Chosen | Role::Bar => style.add_modifier(Modifier::REVERSED),
            Role::Alarm => style.add_modifier(Modifier::REVERSED | Modifier::BOLD),
        }
    }

    /// Okabe and Ito's colours: told apart under every common colour blindness.
    fn color(&self, role: Role) -> Option<Color> {
        let (rgb, indexed, basic) = match role {
            Role::Text | Role::Chosen | Role::Bar | Role::Title | Role::Dim => return None,
            Role::Ok | Role::Key => (0x56_b4_e9, 74, Color::Cyan),
            Role::Warn => (0xf0_e4_42, 227, Color::Yellow),
            Role::Crit | Role::Alarm => (0xd5_5e_00, 166, Color::LightRed),
            Role::Out => (0x9a_a0_a6, 247, Color::DarkGray),
            Role::Frame => (0x6b_70_76, 242, Color::DarkGray),
        };
        self.pick(rgb, indexed, basic)
    }

    fn pick(&self, rgb: u32, indexed: u8, basic: Color) -> Option<Color> {
        match self.colors {
            Colors::Mono => None,
            Colors::Ansi16 => Some(basic),
            Colors::Ansi256 => Some(Color::Indexed(indexed)),
            Colors::True => Some(Color::from_u32(rgb)),
        }
    }

    /// One cell of a heat map: eight steps, by shade as well as by colour.
    pub(crate) fn heat(&self, step: usize) -> (&'static str, Style) {
        let step = step.min(7);
        let color = self.pick(HEAT_TRUE[step], HEAT_256[step], HEAT_16[step]);
        // A coloured cell is a full block: the colour alone carries the step, and the eye sees an area.
        let glyph = if color.is_some() && !self.ascii { "█" } else { self.glyphs.heat[step] };
        (glyph, color.map_or_else(Style::new, |it| Style::new().fg(it)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_nothing_sets_one() {
        let theme = Theme::new(Caps { colors: Colors::Mono, utf8: true, dumb: false });
        for role in Role::ALL {
            let style = theme.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
        assert!((0..8).all(|step| theme.heat(step).1.fg.is_none()));
        assert!(theme.style(Role::Chosen).add_modifier.contains(Modifier::REVERSED));
    }

    /// The three severities of one palette are three different colours.
    #[test]
    fn severities_differ_in_every_palette() {
        for colors in [Colors::Ansi16, Colors::Ansi256, Colors::True] {
            let theme = Theme::new(Caps { colors, utf8: true, dumb: false });
            let fg = |role| theme.style(role).fg;
            assert!(
                fg(Role::Ok) != fg(Role::Warn) && fg(Role::Warn) != fg(Role::Crit) && fg(Role::Ok) != fg(Role::Crit)
            );
        }
    }
}
