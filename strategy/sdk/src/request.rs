//! Request, answer and feedback as they lie in the guest's memory. `abi/request.txt` freezes the offsets.

/// Most feedback records in one call.
pub const FEEDBACK_MAX: usize = 64;
/// Most records in one answer of a strategy made with this SDK.
pub const RECORDS_MAX: usize = 16;
/// Most rows a request can have tried.
const TRIED_MAX: usize = 3;

/// One request, 72 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Request {
    /// Identifies the decision.
    pub decision: u64,
    /// The decision's only source of chance; see [`hash`].
    pub seed: u64,
    /// Hash of the client's session; 0 none.
    pub session: u64,
    /// Hash of the prompt's first block; 0 none.
    pub prefix: u64,
    /// The router's clock in milliseconds, wrapping.
    pub now_ms: u32,
    /// Milliseconds left at `now_ms`; 0 no deadline.
    pub deadline_ms: u32,
    /// An estimate of the prompt's length.
    pub prompt_tokens: u32,
    /// The client's limit; 0 unknown.
    pub max_tokens: u32,
    /// The tenant's index; 0 none.
    pub tenant: u32,
    /// The first `tried_len` are rows which earlier attempts were sent to; see [`Request::tried`].
    pub tried: [u32; TRIED_MAX],
    /// What is to be decided; 0 is `route`.
    pub kind: u8,
    /// 0, 1 or 2.
    pub attempt: u8,
    /// 0 is the lowest.
    pub priority: u8,
    /// How many rows were tried.
    pub tried_len: u8,
    /// Bytes which the host wrote; a later contract writes more.
    pub size: u32,
}

impl Request {
    /// A request of nothing, to be filled in by tests with `..Request::EMPTY`.
    pub const EMPTY: Self = Self {
        decision: 0,
        seed: 0,
        session: 0,
        prefix: 0,
        now_ms: 0,
        deadline_ms: 0,
        prompt_tokens: 0,
        max_tokens: 0,
        tenant: 0,
        tried: [0; TRIED_MAX],
        kind: 0,
        attempt: 0,
        priority: 0,
        tried_len: 0,
        size: 0,
    };

    /// Returns the rows which earlier attempts were sent to; the router never sends there again.
    #[must_use]
    pub fn tried(&self) -> &[u32] {
        self.tried.get(..usize::from(self.tried_len)).unwrap_or(&self.tried)
    }

    /// Returns the request with one more row tried.
    #[must_use]
    pub fn with_tried(mut self, slot: u32) -> Self {
        if let Some(free) = self.tried.get_mut(usize::from(self.tried_len)) {
            *free = slot;
            self.tried_len += 1;
        }
        self
    }
}

/// One record of an answer, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Record {
    pub(crate) tag: u8,
    pub(crate) flags: u8,
    pub(crate) a: u16,
    pub(crate) b: u32,
    pub(crate) c: u32,
    pub(crate) v: f32,
}

impl Record {
    pub(crate) const EMPTY: Self = Self { tag: 0, flags: 0, a: 0, b: 0, c: 0, v: 0.0 };

    /// Makes a `TARGET`; the score is for people, order decides.
    #[must_use]
    pub const fn target(slot: u32, generation: u32, score: f32) -> Self {
        Self { tag: 1, b: slot, c: generation, v: score, ..Self::EMPTY }
    }

    /// Makes a `NOTE`: a number for telemetry.
    #[must_use]
    pub const fn note(code: u16, value: f32) -> Self {
        Self { tag: 2, a: code, v: value, ..Self::EMPTY }
    }

    /// Returns the slot when the record is a `TARGET`.
    #[must_use]
    pub const fn slot(&self) -> Option<u32> {
        if self.tag == 1 { Some(self.b) } else { None }
    }
}

/// How one attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// The answer reached the client.
    Ok = 0,
    /// 429 or 503.
    Refused = 1,
    /// Another 5xx, or 404 for a model the engine lists.
    EngineError = 2,
    /// No byte came.
    FailedNoBytes = 3,
    /// The answer broke off.
    FailedMidStream = 4,
    /// The client left.
    ClientGone = 5,
}

/// What became of one decision, 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Feedback {
    /// The decision.
    pub decision: u64,
    /// The row that was used.
    pub slot: u32,
    /// Its generation at the time.
    pub generation: u32,
    /// 0, 1 or 2.
    pub attempt: u8,
    pub(crate) outcome: u8,
    pub(crate) reserved: u16,
    /// To the first byte, in microseconds; 0 when none came.
    pub ttft_us: u32,
    /// To the end, in microseconds.
    pub e2e_us: u32,
    /// Output tokens, as far as they are known.
    pub tokens_out: u32,
}

impl Feedback {
    pub(crate) const EMPTY: Self = Self {
        decision: 0,
        slot: 0,
        generation: 0,
        attempt: 0,
        outcome: 0,
        reserved: 0,
        ttft_us: 0,
        e2e_us: 0,
        tokens_out: 0,
    };

    /// Makes the record of a decision's end, for tests.
    #[must_use]
    pub const fn new(decision: u64, slot: u32, generation: u32, outcome: Outcome) -> Self {
        Self { decision, slot, generation, outcome: outcome as u8, ..Self::EMPTY }
    }

    /// Returns how the attempt ended; `None` for an outcome of a later contract.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        Some(match self.outcome {
            0 => Outcome::Ok,
            1 => Outcome::Refused,
            2 => Outcome::EngineError,
            3 => Outcome::FailedNoBytes,
            4 => Outcome::FailedMidStream,
            5 => Outcome::ClientGone,
            _ => return None,
        })
    }
}

/// Mixes 64 bits.
#[must_use]
pub const fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns the hash of a slot (or of any number) under a request's seed.
#[must_use]
pub const fn hash(seed: u64, number: u32) -> u64 {
    splitmix64(seed ^ number as u64)
}
