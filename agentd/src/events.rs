//! What happened, as this agent saw it: a ring of the latest events, numbered, that readers can follow.
//!
//! [`Events::record`] may be called from anywhere; [`feeds`] turns what the daemon watches into events.

pub mod feeds;

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use mesh_core::time::Timestamp;
use tokio::sync::watch;

use crate::clock;

/// So many events are kept: at ten a minute, the last seven hours.
const KEPT: usize = 4_096;
/// The longest text of an event, in bytes.
const TEXT_BYTES_MAX: usize = 2_048;

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Part of normal life.
    Info,
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number on this agent, from 1; it starts anew with the process.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about: `KIND/NAME`.
    pub subject: String,
    /// Who did it; empty when nobody did.
    pub actor: String,
    /// What happened, in words.
    pub text: String,
}

/// The ring; clones share it.
#[derive(Debug, Clone)]
pub struct Events {
    ring: Arc<Mutex<VecDeque<Event>>>,
    last: watch::Sender<u64>,
}

impl Default for Events {
    fn default() -> Self {
        Self { ring: Arc::default(), last: watch::Sender::new(0) }
    }
}

impl Events {
    /// Adds an event that happened now and that nobody in particular did.
    pub fn record(&self, severity: Severity, subject: impl Into<String>, text: impl Into<String>) {
        self.add(clock::now(), severity, (subject.into(), String::new()), text.into());
    }

    fn add(&self, at: Timestamp, severity: Severity, (subject, actor): (String, String), mut text: String) {
        if text.len() > TEXT_BYTES_MAX {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        }
        self.last.send_modify(|last| {
            *last += 1;
            let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
            if ring.len() == KEPT {
                ring.pop_front();
            }
            ring.push_back(Event { seq: *last, at, severity, subject, actor, text });
        });
    }

    /// The events after a number, oldest first, as far as they are still kept.
    #[must_use]
    pub fn after(&self, seq: u64) -> Vec<Event> {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let from = ring.partition_point(|event| event.seq <= seq);
        ring.range(from..).cloned().collect()
    }

    /// Tells the number of the latest event, again whenever it grows.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_forgets_the_oldest_and_numbers_go_on() {
        let events = Events::default();
        for i in 0..KEPT + 3 {
            events.record(Severity::Info, "node/a", i.to_string());
        }
        let all = events.after(0);
        assert_eq!((all.len(), all[0].seq, all[0].text.as_str()), (KEPT, 4, "3"));
        assert_eq!(events.after(KEPT as u64 + 2).len(), 1);
        assert!(events.after(KEPT as u64 + 3).is_empty());
        assert_eq!(*events.subscribe().borrow(), KEPT as u64 + 3);
    }
}
