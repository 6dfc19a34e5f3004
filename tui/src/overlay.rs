//! What lies over a screen: help, the filter's line, a question, and the last answer.

use crossterm::event::{KeyCode, KeyModifiers};
use mesh_core::time::Timestamp;

use crate::{Action, BlastRadius, Ticket, line::Line, model::Level, model::view::ScreenId, text::clean};

/// How long an answer stays on the screen.
const TOAST_MS: u64 = 12_000;

/// One layer over the screen; the last one gets the keys.
#[derive(Debug)]
pub(crate) enum Overlay {
    /// All keys, scrolled down so far.
    Help(u16),
    /// The filter of a screen, being typed.
    Filter(FilterLine),
    /// May this be done?
    Question(Box<Question>),
}

/// The filter while it is typed.
#[derive(Debug)]
pub(crate) struct FilterLine {
    pub(crate) screen: ScreenId,
    pub(crate) line: Line,
    pub(crate) error: Option<crate::filter::FilterError>,
}

/// What a question waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    Typed,
    Reason,
    Cancel,
    Confirm,
}

/// A question before something is changed.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) ticket: Ticket,
    pub(crate) action: Action,
    pub(crate) title: String,
    /// What it would hit; absent = not answered yet.
    pub(crate) blast: Option<Result<BlastRadius, String>>,
    /// What must be typed: the node's name, or how many there are; absent = a yes is enough.
    pub(crate) expected: Option<String>,
    pub(crate) typed: Line,
    pub(crate) reason: Line,
    pub(crate) focus: Focus,
    pub(crate) complaint: Option<&'static str>,
    /// Whether it was seen: keys that were typed ahead do not answer it.
    pub(crate) shown: bool,
}

/// What a key did to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Open,
    Cancelled,
    Confirmed,
}

impl Question {
    pub(crate) fn new(ticket: Ticket, action: Action) -> Self {
        let (title, expected) = match &action {
            Action::Cordon(nodes) => (format!("Cordon {}", several(nodes)), None),
            Action::Uncordon(nodes) => (format!("Uncordon {}", several(nodes)), None),
            Action::Drain(nodes) => {
                let expected = match nodes.as_slice() {
                    [one] => one.to_string(),
                    many => many.len().to_string(),
                };
                (format!("Drain {}", several(nodes)), Some(expected))
            }
            Action::StrategyRollback => ("Roll the strategy back".to_owned(), None),
        };
        let focus = if expected.is_some() { Focus::Typed } else { Focus::Cancel };
        Self {
            ticket,
            action,
            title,
            blast: None,
            expected,
            typed: Line::default(),
            reason: Line::default(),
            focus,
            complaint: None,
            shown: false,
        }
    }

    pub(crate) fn key(&mut self, code: KeyCode, modifiers: KeyModifiers) -> Answer {
        if code == KeyCode::Esc || (code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL)) {
            return Answer::Cancelled;
        }
        if !self.shown {
            return Answer::Open;
        }
        self.complaint = None;
        let taken = match self.focus {
            Focus::Typed => self.typed.key(code, modifiers),
            Focus::Reason => self.reason.key(code, modifiers),
            Focus::Cancel | Focus::Confirm => false,
        };
        match (code, self.focus) {
            _ if taken => Answer::Open,
            (KeyCode::Enter, Focus::Cancel) | (KeyCode::Char('n' | 'q'), _) => Answer::Cancelled,
            (KeyCode::Enter, _) => self.confirm(),
            // A question that wants a name is never answered by one letter.
            (KeyCode::Char('y'), _) if self.expected.is_none() => self.confirm(),
            (KeyCode::Char('r'), _) => self.look(Focus::Reason),
            (KeyCode::Tab | KeyCode::Down, _) => self.look(self.step(1)),
            (KeyCode::BackTab | KeyCode::Up, _) => self.look(self.step(-1)),
            (KeyCode::Left, _) => self.look(Focus::Cancel),
            (KeyCode::Right, _) => self.look(Focus::Confirm),
            _ => Answer::Open,
        }
    }

    fn look(&mut self, focus: Focus) -> Answer {
        self.focus = focus;
        Answer::Open
    }

    fn step(&self, by: isize) -> Focus {
        let all: &[Focus] = if self.expected.is_some() {
            &[Focus::Typed, Focus::Reason, Focus::Cancel, Focus::Confirm]
        } else {
            &[Focus::Reason, Focus::Cancel, Focus::Confirm]
        };
        let at = all.iter().position(|it| *it == self.focus).unwrap_or(0).cast_signed();
        all[(at + by).rem_euclid(all.len().cast_signed()).cast_unsigned()]
    }

    /// Whether it may be done now; a complaint says why not.
    fn confirm(&mut self) -> Answer {
        let blast = match &self.blast {
            None => {
                self.complaint = Some("what it would hit is not known yet");
                return Answer::Open;
            }
            Some(Err(_)) => {
                self.complaint = Some("what it would hit is not known");
                return Answer::Open;
            }
            Some(Ok(blast)) => blast,
        };
        if blast.refused.is_some() {
            self.complaint = Some("the mesh refuses it");
        } else if self.expected.as_ref().is_some_and(|it| it != self.typed.text().trim()) {
            self.complaint = Some("what you typed is not what is asked for: nothing was done");
            self.focus = Focus::Typed;
        } else if blast.reason_required && self.reason.text().trim().is_empty() {
            self.complaint = Some("this mesh wants a reason");
            self.focus = Focus::Reason;
        } else {
            return Answer::Confirmed;
        }
        Answer::Open
    }

    /// The reason, when one was given.
    pub(crate) fn reason(&self) -> Option<String> {
        Some(self.reason.text().trim()).filter(|it| !it.is_empty()).map(ToOwned::to_owned)
    }
}

fn several(nodes: &[mesh_core::id::NodeName]) -> String {
    match nodes {
        [one] => one.to_string(),
        many => format!("{} nodes", many.len()),
    }
}

/// A short word about what was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Toast {
    pub(crate) level: Level,
    pub(crate) text: String,
    pub(crate) until: Timestamp,
}

/// All layers.
#[derive(Debug, Default)]
pub(crate) struct Overlays {
    pub(crate) stack: Vec<Overlay>,
    pub(crate) toast: Option<Toast>,
    /// Actions that were sent and not yet answered, with what undoes them.
    pub(crate) waiting: Vec<(Ticket, &'static str)>,
    next: u64,
}

impl Overlays {
    pub(crate) fn ticket(&mut self) -> Ticket {
        self.next += 1;
        Ticket(self.next)
    }

    pub(crate) fn say(&mut self, level: Level, text: &str, now: Timestamp) {
        self.toast = Some(Toast { level, text: clean(text, 300), until: now.plus_ms(TOAST_MS) });
    }

    pub(crate) fn question(&mut self) -> Option<&mut Question> {
        self.stack.iter_mut().rev().find_map(|it| match it {
            Overlay::Question(it) => Some(&mut **it),
            Overlay::Help(_) | Overlay::Filter(_) => None,
        })
    }

    pub(crate) fn preview(&mut self, ticket: Ticket, answer: Result<BlastRadius, String>) {
        // An answer to a question that was closed meanwhile is nobody's.
        if let Some(question) = self.question().filter(|it| it.ticket == ticket) {
            question.blast = Some(answer);
        }
    }

    pub(crate) fn done(&mut self, ticket: Ticket, answer: Result<String, String>, now: Timestamp) {
        let Some(at) = self.waiting.iter().position(|(it, _)| *it == ticket) else { return };
        let (_, undo) = self.waiting.remove(at);
        match answer {
            Ok(what) if undo.is_empty() => self.say(Level::Ok, &what, now),
            Ok(what) => self.say(Level::Ok, &format!("{what} ({undo})"), now),
            Err(why) => self.say(Level::Crit, &why, now),
        }
    }

    /// Lets an answer go that was shown long enough; says whether one went.
    pub(crate) fn expire(&mut self, now: Timestamp) -> bool {
        let over = self.toast.as_ref().is_some_and(|it| it.until <= now);
        if over {
            self.toast = None;
        }
        over
    }

    /// Marks questions as seen, after a frame was drawn.
    pub(crate) fn seen(&mut self) {
        if let Some(question) = self.question() {
            question.shown = true;
        }
    }
}
