//! What was: figures of the last two minutes, and the newest events.

use std::collections::{BTreeMap, VecDeque};

use mesh_core::time::Timestamp;

use super::{names::Sym, series::Series, totals::Totals};
use crate::{EventRow, text::clean};

/// The most events that are kept.
const EVENTS_MAX: usize = 4_096;
/// The most models whose queue is remembered.
const MODELS_MAX: usize = 256;
/// A little less than a second, so that pictures that come once a second are what is sampled.
pub(super) const SAMPLE_MS: u64 = 900;

/// The figures over time.
#[derive(Debug)]
pub(crate) struct History {
    last: Option<Timestamp>,
    pub(crate) util: Series,
    pub(crate) power_w: Series,
    pub(crate) running: Series,
    pub(crate) waiting: Series,
    pub(crate) in_flight: Series,
    pub(crate) queued: Series,
    waiting_of: BTreeMap<Sym, Series>,
}

impl Default for History {
    fn default() -> Self {
        Self {
            last: None,
            util: Series::new(),
            power_w: Series::new(),
            running: Series::new(),
            waiting: Series::new(),
            in_flight: Series::new(),
            queued: Series::new(),
            waiting_of: BTreeMap::new(),
        }
    }
}

impl History {
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.last.is_none_or(|it| it.age_ms(now) >= SAMPLE_MS)
    }

    /// One sample of each figure; nothing when the picture is old, so that a broken link is a gap.
    pub(crate) fn sample(&mut self, totals: &Totals, fresh: bool, now: Timestamp) {
        self.last = Some(now);
        let known = |value: Option<u32>| value.filter(|_| fresh);
        self.util.push(known(totals.gpus.util.map(u32::from)));
        self.power_w.push(known(totals.gpus.power_w.map(|it| u32::try_from(it).unwrap_or(u32::MAX))));
        self.running.push(known(totals.running));
        self.waiting.push(known(totals.waiting));
        self.in_flight.push(known(totals.in_flight));
        self.queued.push(known(totals.queued));
        for row in totals.models.iter().take(MODELS_MAX) {
            self.waiting_of.entry(row.name).or_insert_with(Series::new).push(known(row.waiting));
        }
        // A model that nobody serves any more is forgotten.
        if self.waiting_of.len() > totals.models.len() {
            self.waiting_of.retain(|name, _| totals.models.iter().any(|it| it.name == *name));
        }
    }

    pub(crate) fn waiting_of(&self, model: Sym) -> Option<&Series> {
        self.waiting_of.get(&model)
    }

    /// How fast the queue of a model grows, in requests a second.
    pub(crate) fn slope_of(&self, model: Sym) -> Option<i64> {
        self.waiting_of(model).and_then(Series::slope_per_s)
    }
}

/// The newest events, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Events {
    ring: VecDeque<(u64, EventRow)>,
    next: u64,
}

impl Events {
    pub(crate) fn push(&mut self, event: EventRow) {
        // After a reconnect another agent tells the same things; the last ones are enough to compare with.
        if self
            .ring
            .iter()
            .rev()
            .take(64)
            .any(|(_, it)| it.at == event.at && it.subject == event.subject && it.text == event.text)
        {
            return;
        }
        let event = EventRow {
            subject: clean(&event.subject, 100),
            actor: clean(&event.actor, 100),
            text: clean(&event.text, 400),
            ..event
        };
        if self.ring.len() >= EVENTS_MAX {
            self.ring.pop_front();
        }
        self.ring.push_back((self.next, event));
        self.next += 1;
    }

    /// All of them with their keys, the newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (u64, &EventRow)> {
        self.ring.iter().rev().map(|(key, event)| (*key, event))
    }

    pub(crate) fn get(&self, key: u64) -> Option<&EventRow> {
        let first = self.ring.front()?.0;
        let at = usize::try_from(key.checked_sub(first)?).ok()?;
        self.ring.get(at).map(|(_, event)| event)
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }
}
