//! Keys: one table of bindings drives what they do, the hints, the help, and what `--read-only` leaves out.

use crossterm::event::{KeyCode, KeyModifiers};

use crate::model::view::ScreenId;

/// What a key can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Command {
    Quit,
    Suspend,
    Help,
    Go(ScreenId),
    Next,
    Previous,
    Down,
    Up,
    PageDown,
    PageUp,
    Top,
    Bottom,
    Open,
    Back,
    Filter,
    SortNext,
    SortPrevious,
    SortInvert,
    Mark,
    Unmark,
    Metric,
    Severity,
    Follow,
    Pause,
    Faster,
    Slower,
    Redraw,
    Cordon,
    Uncordon,
    Drain,
    Rollback,
}

impl Command {
    /// Whether it changes the mesh.
    pub(crate) fn changes(self) -> bool {
        matches!(self, Self::Cordon | Self::Uncordon | Self::Drain | Self::Rollback)
    }
}

/// A key as a person names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    code: KeyCode,
    control: bool,
    name: &'static str,
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Binding {
    pub(crate) keys: &'static [Key],
    pub(crate) command: Command,
    /// Where it holds; empty = everywhere.
    pub(crate) screens: &'static [ScreenId],
    /// The word in the hints; empty = help only.
    pub(crate) hint: &'static str,
    pub(crate) help: &'static str,
}

impl Binding {
    pub(crate) fn holds(&self, screen: ScreenId) -> bool {
        self.screens.is_empty() || self.screens.contains(&screen)
    }

    /// Its keys as they are written in help.
    pub(crate) fn name(&self) -> String {
        self.keys.iter().map(|it| it.name).collect::<Vec<_>>().join(" ")
    }

    /// The key shown in the hints.
    pub(crate) fn first(&self) -> &'static str {
        self.keys.first().map_or("", |it| it.name)
    }
}

const fn ch(c: char, name: &'static str) -> Key {
    Key { code: KeyCode::Char(c), control: false, name }
}

const fn ctrl(c: char, name: &'static str) -> Key {
    Key { code: KeyCode::Char(c), control: true, name }
}

const fn key(code: KeyCode, name: &'static str) -> Key {
    Key { code, control: false, name }
}

const NODES: &[ScreenId] = &[ScreenId::Nodes, ScreenId::Gpus, ScreenId::Overview];
const TABLES: &[ScreenId] = &[ScreenId::Nodes, ScreenId::Gpus, ScreenId::Routing, ScreenId::Events];
const SORTED: &[ScreenId] = &[ScreenId::Nodes, ScreenId::Gpus, ScreenId::Routing];

macro_rules! bind {
    ($keys:expr, $command:expr, $screens:expr, $hint:literal, $help:literal) => {
        Binding { keys: $keys, command: $command, screens: $screens, hint: $hint, help: $help }
    };
}

/// Every key there is, in the order in which hints and help show them.
pub(crate) const BINDINGS: &[Binding] = &[
    bind!(&[key(KeyCode::Enter, "Enter")], Command::Open, NODES, "open", "opens what the cursor is on"),
    bind!(&[ch('/', "/")], Command::Filter, TABLES, "filter", "filters: words, name~node-7, temp>85 & util<10"),
    bind!(&[ch('c', "c")], Command::Cordon, NODES, "cordon", "sends nothing new to the node; asks first"),
    bind!(&[ch('u', "u")], Command::Uncordon, NODES, "uncordon", "puts the node back into service; asks first"),
    bind!(
        &[ch('D', "D")],
        Command::Drain,
        NODES,
        "drain",
        "takes the node out when its requests are done; asks for its name"
    ),
    bind!(
        &[ch('R', "R")],
        Command::Rollback,
        &[ScreenId::Routing],
        "roll back",
        "lets the previous strategy decide again; asks first"
    ),
    bind!(
        &[ch(' ', "Space")],
        Command::Mark,
        &[ScreenId::Nodes],
        "mark",
        "marks the node; actions mean all marked ones"
    ),
    bind!(&[ch('\\', "\\")], Command::Unmark, &[ScreenId::Nodes], "", "clears all marks"),
    bind!(&[ch('<', "<")], Command::SortPrevious, SORTED, "", "sorts by the column to the left"),
    bind!(&[ch('>', ">")], Command::SortNext, SORTED, "sort", "sorts by the column to the right"),
    bind!(&[ch('I', "I")], Command::SortInvert, SORTED, "", "turns the order around"),
    bind!(&[ch('m', "m")], Command::Metric, &[ScreenId::Gpus], "metric", "shows util, temp, vram or power as heat"),
    bind!(
        &[ch('v', "v")],
        Command::Severity,
        &[ScreenId::Events],
        "severity",
        "shows all, warnings and worse, or critical events"
    ),
    bind!(&[ch('F', "F")], Command::Follow, &[ScreenId::Events], "follow", "keeps the cursor on the newest event"),
    bind!(&[ch('j', "j"), key(KeyCode::Down, "Down")], Command::Down, &[], "", "moves down"),
    bind!(&[ch('k', "k"), key(KeyCode::Up, "Up")], Command::Up, &[], "", "moves up"),
    bind!(
        &[key(KeyCode::PageDown, "PgDn"), ctrl('d', "^D"), ctrl('f', "^F")],
        Command::PageDown,
        &[],
        "",
        "moves a page down"
    ),
    bind!(
        &[key(KeyCode::PageUp, "PgUp"), ctrl('u', "^U"), ctrl('b', "^B")],
        Command::PageUp,
        &[],
        "",
        "moves a page up"
    ),
    bind!(&[ch('g', "g"), key(KeyCode::Home, "Home")], Command::Top, &[], "", "moves to the first row"),
    bind!(&[ch('G', "G"), key(KeyCode::End, "End")], Command::Bottom, &[], "", "moves to the last row"),
    bind!(&[key(KeyCode::Esc, "Esc")], Command::Back, &[], "", "closes, clears the filter, goes back; never quits"),
    bind!(&[ch('1', "1")], Command::Go(ScreenId::Overview), &[], "", "Overview: what needs attention"),
    bind!(&[ch('2', "2")], Command::Go(ScreenId::Nodes), &[], "", "Nodes"),
    bind!(&[ch('3', "3")], Command::Go(ScreenId::Gpus), &[], "", "GPUs: heat map and table"),
    bind!(&[ch('4', "4")], Command::Go(ScreenId::Routing), &[], "", "Routing: models, routers, strategies"),
    bind!(&[ch('5', "5")], Command::Go(ScreenId::Events), &[], "", "Events"),
    bind!(
        &[key(KeyCode::Tab, "Tab"), key(KeyCode::Right, "Right"), ch('l', "l")],
        Command::Next,
        &[],
        "next view",
        "next view"
    ),
    bind!(
        &[key(KeyCode::BackTab, "S-Tab"), key(KeyCode::Left, "Left"), ch('h', "h")],
        Command::Previous,
        &[],
        "",
        "previous view"
    ),
    bind!(&[ch('p', "p")], Command::Pause, &[], "pause", "holds the picture still; the feed goes on"),
    bind!(&[ch('+', "+"), ch('=', "=")], Command::Faster, &[], "", "draws new data more often"),
    bind!(&[ch('-', "-")], Command::Slower, &[], "", "draws new data less often"),
    bind!(&[ctrl('l', "^L")], Command::Redraw, &[], "", "draws everything anew"),
    bind!(&[ctrl('z', "^Z")], Command::Suspend, &[], "", "back to the shell; `fg` returns"),
    bind!(&[ch('?', "?")], Command::Help, &[], "help", "this help"),
    bind!(&[ch('q', "q"), ctrl('c', "^C")], Command::Quit, &[], "quit", "quits"),
];

/// The bindings that hold on a screen.
pub(crate) fn on(screen: ScreenId, read_only: bool) -> impl Iterator<Item = &'static Binding> {
    BINDINGS.iter().filter(move |it| it.holds(screen) && !(read_only && it.command.changes()))
}

/// The command of a key on a screen.
pub(crate) fn command(screen: ScreenId, read_only: bool, code: KeyCode, modifiers: KeyModifiers) -> Option<Command> {
    let control = modifiers.contains(KeyModifiers::CONTROL);
    // With Alt or Super it is another key: nothing is bound there.
    if modifiers.intersects(KeyModifiers::ALT | KeyModifiers::SUPER | KeyModifiers::META) {
        return None;
    }
    let hit = |key: &Key| key.code == code && key.control == control;
    on(screen, read_only).find(|it| it.keys.iter().any(hit)).map(|it| it.command)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_key_means_two_things_on_one_screen() {
        for screen in ScreenId::ALL {
            let keys: Vec<_> = on(screen, false).flat_map(|it| it.keys).collect();
            for (at, key) in keys.iter().enumerate() {
                assert!(
                    !keys[at + 1..].iter().any(|it| it.code == key.code && it.control == key.control),
                    "{key:?} on {screen:?}"
                );
            }
        }
    }

    #[test]
    fn every_binding_is_explained_and_every_screen_can_be_reached() {
        assert!(BINDINGS.iter().all(|it| !it.help.is_empty() && !it.keys.is_empty()));
        let commands: HashSet<Command> = BINDINGS.iter().map(|it| it.command).collect();
        assert_eq!(commands.len(), BINDINGS.len(), "one line a command");
        assert!(ScreenId::ALL.iter().all(|it| commands.contains(&Command::Go(*it))));
    }

    #[test]
    fn read_only_has_no_key_that_changes_anything() {
        for screen in ScreenId::ALL {
            assert!(on(screen, true).all(|it| !it.command.changes()));
        }
        let check = |read_only: bool, expected: Option<Command>| {
            assert_eq!(command(ScreenId::Nodes, read_only, KeyCode::Char('D'), KeyModifiers::SHIFT), expected);
        };
        check(false, Some(Command::Drain));
        check(true, None);
    }

    #[test]
    fn no_control_or_alt_key_changes_anything() {
        for it in BINDINGS.iter().filter(|it| it.command.changes()) {
            assert!(it.keys.iter().all(|key| !key.control));
        }
        assert_eq!(command(ScreenId::Nodes, false, KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Command::Quit));
        assert_eq!(command(ScreenId::Nodes, false, KeyCode::Char('c'), KeyModifiers::ALT), None);
    }
}
