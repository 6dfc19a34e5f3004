//! Where requests of one (worker, model) wait for a place, first come, first served.

use std::collections::VecDeque;

use super::desk::Desk;
use crate::{request::RequestId, target::Room};

/// The line of one (worker, model).
///
/// The wake rule: after an own release, after an update that made room, and when [`Line::tick`] says so, the worker
/// pops the first request, gives it `Woken`, and goes on until one returns to the front or the line is empty.
#[derive(Clone, Debug, Default)]
pub struct Line {
    waiting: VecDeque<RequestId>,
    room_seen: u64,
}

impl Line {
    /// Makes an empty line.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns how many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Says whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Carries out `Enqueue`, and counts it at the desk.
    pub fn enqueue(&mut self, id: RequestId, front: bool, desk: &Desk) {
        desk.joined_line();
        if front {
            self.waiting.push_front(id);
        } else {
            self.waiting.push_back(id);
        }
    }

    /// Takes the request that waits longest, to be given `Woken`.
    pub fn pop(&mut self, desk: &Desk) -> Option<RequestId> {
        let first = self.waiting.pop_front();
        if first.is_some() {
            desk.left_line();
        }
        first
    }

    /// Takes a request out wherever it stands, when it ends while waiting; returns whether it was there.
    pub fn remove(&mut self, id: RequestId, desk: &Desk) -> bool {
        let at = self.waiting.iter().position(|waiting| *waiting == id);
        let found = at.is_some_and(|at| self.waiting.remove(at).is_some());
        if found {
            desk.left_line();
        }
        found
    }

    /// Says, once a millisecond, whether to wake: somebody waits and the model's room counter moved since last asked.
    pub fn tick(&mut self, room: &Room) -> bool {
        let count = room.count();
        let moved = std::mem::replace(&mut self.room_seen, count) != count;
        moved && !self.waiting.is_empty()
    }
}
