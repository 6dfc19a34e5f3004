//! Which events are new to the screen: every agent numbers its own, so after another one answers only time can tell.

use mesh_tui::EventRow;

/// Remembers the newest events shown.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The events of the newest instant.
    newest: Vec<EventRow>,
}

impl Seen {
    /// Whether an event is new; it counts as shown from then on.
    pub(super) fn is_new(&mut self, event: &EventRow) -> bool {
        let newest_at = self.newest.first().map(|it| it.at);
        if newest_at.is_some_and(|at| event.at < at) {
            return false;
        }
        if newest_at != Some(event.at) {
            self.newest.clear();
        } else if self.newest.iter().any(|it| (&it.subject, &it.text) == (&event.subject, &event.text)) {
            return false;
        }
        self.newest.push(event.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use mesh_core::time::Timestamp;
    use mesh_tui::Severity;

    use super::*;

    #[test]
    fn what_another_agent_tells_again_is_not_new() {
        let mut seen = Seen::default();
        let mut check = |seq: u64, at: u64, text: &str, expected: bool| {
            let (subject, actor) = ("node/a".to_owned(), String::new());
            let severity = Severity::Info;
            let event = EventRow { seq, at: Timestamp(at), severity, subject, actor, text: text.into() };
            assert_eq!(seen.is_new(&event), expected, "{event:?}");
        };
        check(1, 100, "a", true);
        check(2, 100, "b", true);
        check(3, 200, "c", true);
        // Another agent begins with its own first event.
        check(1, 100, "a", false);
        check(2, 200, "c", false);
        check(3, 200, "d", true);
        check(4, 300, "e", true);
    }
}
