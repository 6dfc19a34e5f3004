//! The words of the machine: what happens to a request, and what its driver must do.

use serde::{Deserialize, Serialize};

use crate::request::{Outcome, SlotRef, Tried};

/// Why a connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// No connection could be made.
    Connect,
    /// The connection broke.
    Reset,
    /// Nothing came in time.
    Timeout,
}

/// What `choose` answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// This row; its place is taken.
    Target(SlotRef),
    /// Every row that could serve the request is full.
    NoRoom,
    /// No row could serve the request.
    NoTarget,
}

/// The timers of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimerId {
    /// The longest wait in the line.
    Line,
    /// The longest wait for a response head.
    Head,
}

/// What an answer says it used; `None` where it says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u32>,
    /// Tokens generated.
    pub completion_tokens: Option<u32>,
}

/// What happens to a request. Events of one instant are given in this order; across requests by request id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The request is read and its model is known.
    Arrived,
    /// The answer to `Decide`, given at once.
    Decided {
        /// The attempt decided.
        attempt: u8,
        /// Where to.
        to: Decision,
    },
    /// The request was taken out of the line because there may be room.
    Woken,
    /// A response head came.
    Head {
        /// The attempt.
        attempt: u8,
        /// Its status.
        status: u16,
    },
    /// The first byte of the body came.
    FirstByte {
        /// The attempt.
        attempt: u8,
    },
    /// The answer is complete.
    Ended {
        /// The attempt.
        attempt: u8,
        /// What it used.
        usage: Usage,
    },
    /// The connection is gone; the driver has closed it.
    Failed {
        /// The attempt.
        attempt: u8,
        /// How.
        kind: FailureKind,
        /// Whether any byte of an answer had come.
        bytes_seen: bool,
    },
    /// The client hung up.
    ClientGone,
    /// A timer armed earlier is due.
    Timer {
        /// Which.
        id: TimerId,
    },
}

/// Why a request is refused; the driver maps it to its API's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefuseCode {
    /// The lines of this router are full.
    LineFull,
    /// No place became free in time.
    LineTimeout,
    /// No engine can serve the model now.
    NoTarget,
    /// Every attempt failed.
    UpstreamFailed,
    /// The last attempt got no answer in time.
    UpstreamTimeout,
}

impl RefuseCode {
    /// Returns the word used in error bodies, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LineFull => "line_full",
            Self::LineTimeout => "line_timeout",
            Self::NoTarget => "no_target",
            Self::UpstreamFailed => "upstream_failed",
            Self::UpstreamTimeout => "upstream_timeout",
        }
    }
}

/// What the driver must do, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Ask `choose` and answer with `Decided` at once.
    Decide {
        /// The attempt to decide.
        attempt: u8,
        /// The rows tried so far.
        tried: Tried,
    },
    /// Send the request to the place that was just taken.
    Send {
        /// The attempt.
        attempt: u8,
        /// The row.
        slot: u32,
        /// The row's generation.
        generation: u32,
    },
    /// Send this attempt's head and body to the client.
    Forward {
        /// The attempt.
        attempt: u8,
    },
    /// Put the request into the line of its (worker, model).
    Enqueue {
        /// At the front instead of at the end.
        front: bool,
    },
    /// Close the attempt's connection; deliver nothing more of it.
    Cancel {
        /// The attempt.
        attempt: u8,
    },
    /// Give the attempt's place back.
    Release {
        /// The attempt.
        attempt: u8,
    },
    /// Set a timer.
    Arm {
        /// Which.
        id: TimerId,
        /// When it is due, in microseconds of the driver's clock.
        at: u64,
    },
    /// Clear a timer.
    Disarm {
        /// Which.
        id: TimerId,
    },
    /// Answer the client with an error; the request is over.
    Refuse {
        /// 429, 502, 503 or 504.
        status: u16,
        /// Why.
        code: RefuseCode,
        /// Seconds for `Retry-After`; `None` leaves the header out.
        retry_after: Option<u16>,
    },
    /// The request is over. After `failed_mid_stream` the client gets an error event, then an abortive close.
    Finish {
        /// How it ended.
        outcome: Outcome,
    },
}

/// What the machine must know of its surroundings, sampled by the driver before each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Nobody waits in the line of this (worker, model).
    pub line_empty: bool,
    /// The lines of the router may take one more.
    pub line_open: bool,
    /// What a refusal for want of room tells the client, in seconds.
    pub retry_after: u16,
    /// The retry budget holds at least one retry.
    pub retry_left: bool,
}

/// What an event cost beyond its actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// One retry is to be taken from the budget.
    pub spent_retry: bool,
}
