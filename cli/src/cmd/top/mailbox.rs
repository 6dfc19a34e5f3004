//! What waits for the screen: of pictures only the newest, of events a bounded number with a count of what was dropped.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
};

use mesh_tui::FeedEvent;
use tokio::sync::{Notify, mpsc};

/// Events of the mesh that wait; the oldest are dropped first.
const EVENTS_MAX: usize = 1024;

/// Everything that waits; used from one thread.
#[derive(Default)]
pub(super) struct Mailbox {
    waiting: RefCell<Waiting>,
    news: Notify,
}

/// A kind of fact of which only the newest counts. The order is that of delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    Up,
    Cluster,
    Strategy,
    Nodes,
    /// After the last picture: it is what the screen then calls old.
    Down,
}

#[derive(Default)]
struct Waiting {
    /// Answers to questions: each is wanted, and there are as many as were asked.
    answers: VecDeque<FeedEvent>,
    newest: BTreeMap<Slot, FeedEvent>,
    events: VecDeque<FeedEvent>,
    dropped: u64,
}

impl Waiting {
    fn put(&mut self, event: FeedEvent) {
        let slot = match &event {
            FeedEvent::Preview(..) | FeedEvent::Done(..) | FeedEvent::Dropped(_) => {
                return self.answers.push_back(event);
            }
            FeedEvent::Event(_) => return self.put_event(event),
            FeedEvent::Nodes(_) => Slot::Nodes,
            FeedEvent::Cluster(_) => Slot::Cluster,
            FeedEvent::Strategy(_) => Slot::Strategy,
            FeedEvent::Up { .. } => Slot::Up,
            FeedEvent::Down { .. } => Slot::Down,
        };
        match slot {
            // Whether the session is up is one fact: the newer word counts.
            Slot::Up => drop(self.newest.remove(&Slot::Down)),
            Slot::Down => drop(self.newest.remove(&Slot::Up)),
            Slot::Cluster | Slot::Strategy | Slot::Nodes => {}
        }
        self.newest.insert(slot, event);
    }

    fn put_event(&mut self, event: FeedEvent) {
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
            self.dropped += 1;
        }
        self.events.push_back(event);
    }

    fn take(&mut self) -> Option<FeedEvent> {
        if let Some(answer) = self.answers.pop_front() {
            return Some(answer);
        }
        if let Some((_, fact)) = self.newest.pop_first() {
            return Some(fact);
        }
        if self.dropped > 0 {
            return Some(FeedEvent::Dropped(std::mem::take(&mut self.dropped)));
        }
        self.events.pop_front()
    }
}

impl Mailbox {
    /// Puts something in, over what it makes old.
    pub(super) fn put(&self, event: FeedEvent) {
        self.waiting.borrow_mut().put(event);
        self.news.notify_one();
    }

    /// Hands over as fast as the screen takes; ends when nobody takes any more.
    pub(super) async fn deliver(&self, out: mpsc::Sender<FeedEvent>) {
        // What is handed over is chosen when there is room for it: until then it can still be replaced.
        while let Ok(room) = out.reserve().await {
            let event = loop {
                let next = self.waiting.borrow_mut().take();
                match next {
                    Some(event) => break event,
                    None => tokio::select! {
                        () = self.news.notified() => {}
                        () = out.closed() => return,
                    },
                }
            };
            room.send(event);
        }
    }

    /// Takes what waits, for whoever looks only once.
    pub(super) fn take(&self) -> Option<FeedEvent> {
        self.waiting.borrow_mut().take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mesh_core::time::Timestamp;
    use mesh_tui::{EventRow, Severity, Ticket};

    use super::*;

    fn event(seq: u64) -> FeedEvent {
        let (subject, actor, text) = <_>::default();
        FeedEvent::Event(EventRow { seq, at: Timestamp(seq), severity: Severity::Info, subject, actor, text })
    }

    fn up(endpoint: &str) -> FeedEvent {
        FeedEvent::Up { endpoint: endpoint.into() }
    }

    fn down() -> FeedEvent {
        FeedEvent::Down { why: "gone".into(), attempt: 1, retry_in: Duration::from_secs(1) }
    }

    fn all(mailbox: &Mailbox) -> Vec<FeedEvent> {
        std::iter::from_fn(|| mailbox.take()).collect()
    }

    #[test]
    fn of_facts_the_newest_counts_and_answers_come_first() {
        let mailbox = Mailbox::default();
        [up("a"), FeedEvent::Strategy(None), up("b"), event(1)].into_iter().for_each(|it| mailbox.put(it));
        let answer = FeedEvent::Done(Ticket(7), Ok("done".into()));
        mailbox.put(answer.clone());
        assert_eq!(all(&mailbox), [answer, up("b"), FeedEvent::Strategy(None), event(1)]);
        mailbox.put(up("a"));
        mailbox.put(down());
        assert_eq!(all(&mailbox), [down()]);
        mailbox.put(down());
        mailbox.put(up("a"));
        assert_eq!(all(&mailbox), [up("a")]);
    }

    #[test]
    fn too_many_events_are_dropped_and_counted() {
        let mailbox = Mailbox::default();
        (0..EVENTS_MAX as u64 + 3).for_each(|seq| mailbox.put(event(seq)));
        let found = all(&mailbox);
        assert_eq!((found.len(), &found[0], &found[1]), (EVENTS_MAX + 1, &FeedEvent::Dropped(3), &event(3)));
    }

    #[tokio::test]
    async fn a_screen_that_takes_late_gets_the_newest_and_delivery_ends_with_it() {
        let (mailbox, (tx, rx)) = (Mailbox::default(), mpsc::channel(1));
        (0..100).for_each(|i| mailbox.put(up(&i.to_string())));
        let screen = async {
            let mut rx = rx;
            let first = rx.recv().await.unwrap();
            (100..200).for_each(|i| mailbox.put(up(&i.to_string())));
            (first, rx.recv().await.unwrap())
        };
        let ((), seen) = tokio::join!(mailbox.deliver(tx), screen);
        assert_eq!(seen, (up("99"), up("199")));
    }
}
