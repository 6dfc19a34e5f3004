//! What a strategy is told about one request, and what it is told afterwards. The byte offsets are frozen.
//!
//! `sdk/abi/request.txt` holds the same request as fields and as bytes; this crate, the SDK and a WAT fixture are
//! tested against it.

use serde::{Deserialize, Serialize};

/// Bytes of a request in a guest's memory.
pub const REQUEST_BYTES: usize = 72;
/// Bytes of one feedback record in a guest's memory.
pub const FEEDBACK_BYTES: usize = 32;
/// Most feedback records in one call of `observe`.
pub const FEEDBACK_BATCH_MAX: usize = 64;
/// Most slots which a request can have tried before its last attempt.
pub const TRIED_MAX: usize = 3;
/// Marks an unused entry of `tried` in a guest's memory.
const NO_SLOT: u32 = u32::MAX;

/// Identifies a request in the whole mesh; 62 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RequestId(u64);

impl RequestId {
    /// Makes an id of the low 62 bits.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self(id & (u64::MAX >> 2))
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Returns the id of one attempt's decision.
    #[must_use]
    pub const fn decision(self, attempt: u8) -> u64 {
        self.0 * 4 + (attempt & 3) as u64
    }
}

/// What is to be decided; 0.1 knows one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Kind {
    /// Which engine answers an inference request.
    #[default]
    Route = 0,
}

/// A slot and the generation in which it was meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotRef {
    /// The row.
    pub slot: u32,
    /// The row's generation.
    pub generation: u32,
}

/// The rows an earlier attempt of the same request was sent to; at most [`TRIED_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    len: u8,
    slots: [SlotRef; TRIED_MAX],
}

impl Tried {
    /// Adds a row; the fourth and later are dropped, which the machine's three attempts never reach.
    pub fn push(&mut self, slot: SlotRef) {
        if let Some(free) = self.slots.get_mut(usize::from(self.len)) {
            *free = slot;
            self.len += 1;
        }
    }

    /// Returns the rows in the order of the attempts.
    #[must_use]
    pub fn as_slice(&self) -> &[SlotRef] {
        &self.slots[..usize::from(self.len)]
    }

    /// Says whether this row, in this generation, was tried.
    #[must_use]
    pub fn contains(&self, slot: u32, generation: u32) -> bool {
        self.as_slice().contains(&SlotRef { slot, generation })
    }

    /// Keeps the rows which `keep` accepts.
    pub(crate) fn retain(&mut self, keep: impl Fn(SlotRef) -> bool) {
        let old = *self;
        *self = Self::default();
        for slot in old.as_slice() {
            if keep(*slot) {
                self.push(*slot);
            }
        }
    }
}

/// The facts of a request which stay the same over its attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// 0 is the lowest.
    pub priority: u8,
    /// An estimate of the prompt's length.
    pub prompt_tokens: u32,
    /// The client's limit; 0 unknown.
    pub max_tokens: u32,
    /// The tenant's index; 0 none.
    pub tenant: u32,
    /// Hash of the client's session; 0 none.
    pub session: u64,
    /// Hash of the prompt's first block; 0 none.
    pub prefix: u64,
}

/// One decision's request, as a strategy sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `request_id * 4 + attempt`.
    pub decision: u64,
    /// `splitmix64(mesh_seed ^ decision)`.
    pub seed: u64,
    /// Milliseconds since the start of the process, wrapping.
    pub now_ms: u32,
    /// Milliseconds left at `now_ms`; 0 none.
    pub deadline_ms: u32,
    /// What is to be decided.
    pub kind: Kind,
    /// 0, 1 or 2.
    pub attempt: u8,
    /// The rows already tried.
    pub tried: Tried,
    /// What the client asks for.
    pub ask: Ask,
}

impl Request {
    /// Makes the request of one attempt; `now_ms` is the process's clock and `deadline_ms` the time left, 0 none.
    #[must_use]
    pub fn new(id: RequestId, attempt: u8, mesh_seed: u64, now_ms: u64, ask: Ask) -> Self {
        let decision = id.decision(attempt);
        Self {
            decision,
            seed: splitmix64(mesh_seed ^ decision),
            now_ms: wrap_ms(now_ms),
            deadline_ms: 0,
            kind: Kind::Route,
            attempt,
            tried: Tried::default(),
            ask,
        }
    }

    /// Writes the request as a guest reads it, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; REQUEST_BYTES] {
        let mut bytes = [0; REQUEST_BYTES];
        let mut tried = [NO_SLOT; TRIED_MAX];
        for (entry, slot) in tried.iter_mut().zip(self.tried.as_slice()) {
            *entry = slot.slot;
        }
        bytes[0..8].copy_from_slice(&self.decision.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.seed.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.ask.session.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.ask.prefix.to_le_bytes());
        let words = [
            self.now_ms,
            self.deadline_ms,
            self.ask.prompt_tokens,
            self.ask.max_tokens,
            self.ask.tenant,
            tried[0],
            tried[1],
            tried[2],
        ];
        for (to, word) in bytes[32..64].chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes[64] = self.kind as u8;
        bytes[65] = self.attempt;
        bytes[66] = self.ask.priority;
        bytes[67] = self.tried.len;
        bytes[68..72].copy_from_slice(&crate::narrow(REQUEST_BYTES).to_le_bytes());
        bytes
    }
}

/// Narrows the process's clock to the contract's wrapping 32 bits.
#[must_use]
pub(crate) const fn wrap_ms(now_ms: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "the contract's clock wraps")]
    let wrapped = now_ms as u32;
    wrapped
}

/// How one attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Outcome {
    /// The engine's answer reached the client.
    Ok = 0,
    /// 429 or 503.
    Refused = 1,
    /// Another 5xx, or 404 for a model the engine lists.
    EngineError = 2,
    /// No byte of an answer came.
    FailedNoBytes = 3,
    /// The answer broke off.
    FailedMidStream = 4,
    /// The client left.
    ClientGone = 5,
}

impl Outcome {
    /// Judges a complete answer by its status.
    #[must_use]
    pub const fn of_status(status: u16) -> Self {
        match status {
            429 | 503 => Self::Refused,
            404 | 500..=599 => Self::EngineError,
            _ => Self::Ok,
        }
    }

    /// Returns the value of metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::EngineError => "engine_error",
            Self::FailedNoBytes => "failed_no_bytes",
            Self::FailedMidStream => "failed_mid_stream",
            Self::ClientGone => "client_gone",
        }
    }
}

/// What became of one decision, for the instance that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// The decision.
    pub decision: u64,
    /// The row that was used.
    pub slot: u32,
    /// Its generation at the time.
    pub generation: u32,
    /// 0, 1 or 2.
    pub attempt: u8,
    /// How it ended.
    pub outcome: Outcome,
    /// From `Send` to the first byte of the body, in microseconds; 0 when none came.
    pub ttft_us: u32,
    /// From `Send` to the end, in microseconds.
    pub e2e_us: u32,
    /// Output tokens, as far as they are known.
    pub tokens_out: u32,
}

impl Feedback {
    /// Writes the record as a guest reads it, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; FEEDBACK_BYTES] {
        let mut bytes = [0; FEEDBACK_BYTES];
        bytes[0..8].copy_from_slice(&self.decision.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.slot.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16] = self.attempt;
        bytes[17] = self.outcome as u8;
        bytes[20..24].copy_from_slice(&self.ttft_us.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.e2e_us.to_le_bytes());
        bytes[28..32].copy_from_slice(&self.tokens_out.to_le_bytes());
        bytes
    }
}

/// Mixes 64 bits; the contract's only source of chance.
#[must_use]
pub const fn splitmix64(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Returns a slot's hash under a request's seed.
#[must_use]
pub const fn hash(seed: u64, slot: u32) -> u64 {
    splitmix64(seed ^ slot as u64)
}
