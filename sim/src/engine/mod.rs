//! A model of one inference engine with continuous batching, without clock, I/O or randomness.
//!
//! It follows vLLM's V1 scheduler where a router can tell the difference: a FIFO queue, a bounded number of running
//! sequences, a token budget per iteration which decoding sequences take from first, chunked prefill, a paged KV cache,
//! and preemption of the youngest sequence when the cache is full. It leaves out prefix caching, speculative decoding
//! and adapters. Time is an argument in microseconds; the seed only spreads the iteration times a little.
//!
//! Drive it so: `submit` at any time, `step(now)` whenever `next_at` is reached (or later: then the engine was slow).

pub(crate) mod schedule;
mod stats;

use std::collections::VecDeque;

pub use stats::{Histogram, Stats};

/// Holds what one engine can do and how long it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Sequences in the batch at once, at least 1.
    pub slots: usize,
    /// Requests that may wait behind the batch.
    pub queue: usize,
    /// Tokens the KV cache holds, rounded down to whole blocks.
    pub kv_tokens: u32,
    /// Tokens in one KV block, at least 1.
    pub block_tokens: u32,
    /// Longest prompt and answer together, in tokens; a longer request is refused.
    pub max_model_len: u32,
    /// Tokens computed in one iteration at most, decoding and prefill together, at least 1.
    pub batch_tokens: u32,
    /// Fixed time of one iteration, in milliseconds.
    pub decode_ms: f64,
    /// Time each sequence adds to an iteration, in milliseconds.
    pub sequence_ms: f64,
    /// Prompt tokens computed per second beside the fixed time.
    pub prefill_tokens_per_s: f64,
    /// Divides every duration: 2.0 is an engine twice as fast.
    pub speed: f64,
    /// Spreads iteration times by up to 2 % either way, the same way for the same seed.
    pub seed: u64,
}

impl Default for Config {
    /// Returns an engine near Llama-3.1-70B on four H100 (measured kernels: 15 ms an iteration of 64 sequences with
    /// some context, 16,000 prompt tokens/s), with a queue that is never the limit of a test.
    fn default() -> Self {
        Self {
            slots: 256,
            queue: 4096,
            kv_tokens: 1 << 20,
            block_tokens: 16,
            max_model_len: 32_768,
            batch_tokens: 8192,
            decode_ms: 20.0,
            sequence_ms: 0.004,
            prefill_tokens_per_s: 16_000.0,
            speed: 1.0,
            seed: 1,
        }
    }
}

/// Names a request inside one engine; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

/// Holds the size of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Tokens of the prompt; 0 counts as 1.
    pub prompt_tokens: u32,
    /// Tokens of the answer; 0 is an embedding, which ends with its prefill.
    pub output_tokens: u32,
    /// Why the answer ends after `output_tokens`.
    pub finish: Finish,
}

/// Says why a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finish {
    /// The model came to an end by itself.
    Stop,
    /// The limit of output tokens was reached.
    Length,
}

/// Reports one thing that an iteration brought to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The request it happened to.
    pub request: RequestId,
    /// The position of the new token in the answer, from 0; `None` for an embedding.
    pub token: Option<u32>,
    /// Present with the last event of a request.
    pub finish: Option<Finish>,
}

/// Says why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue is full.
    #[error("the queue of {0} requests is full")]
    QueueFull(usize),
    /// Prompt and answer do not fit the model's context or the KV cache.
    #[error("{wanted} tokens do not fit into {limit}")]
    TooLong {
        /// Tokens of prompt and answer.
        wanted: u64,
        /// Tokens that fit.
        limit: u32,
    },
}

/// Says which field of a [`Config`] cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be {rule}")]
pub struct ConfigError {
    field: &'static str,
    rule: &'static str,
}

/// Shows how loaded the engine is now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Sequences in the batch.
    pub running: usize,
    /// Requests in the queue.
    pub waiting: usize,
    /// Share of KV blocks in use, 0 to 1.
    pub kv_used: f64,
}

/// Keeps one request while it waits or runs.
#[derive(Clone, Debug)]
struct Sequence {
    id: RequestId,
    request: Request,
    submitted_us: u64,
    admitted_us: Option<u64>,
    first_token_us: Option<u64>,
    last_token_us: u64,
    /// Tokens whose KV entries are in the cache.
    computed: u32,
    generated: u32,
    /// Tokens the iteration under way computes for it.
    planned: u32,
}

/// Describes the iteration under way.
#[derive(Clone, Copy, Debug)]
struct Iteration {
    ends_us: u64,
    tokens: u32,
}

/// Models one engine.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    waiting: VecDeque<Sequence>,
    /// In order of admission, so that the last is the first to be preempted.
    running: Vec<Sequence>,
    iteration: Option<Iteration>,
    iterations: u64,
    blocks_total: u32,
    blocks_used: u32,
    next_id: u64,
    stats: Stats,
}

impl Engine {
    /// Returns an idle engine.
    ///
    /// # Errors
    /// A field that is zero, not finite, or larger than what holds it.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let positive = |v: f64| v.is_finite() && v > 0.0;
        let rules = [
            (config.slots >= 1, "slots", "at least 1"),
            (config.block_tokens >= 1, "block_tokens", "at least 1"),
            (config.batch_tokens >= 1, "batch_tokens", "at least 1"),
            (config.max_model_len >= 1, "max_model_len", "at least 1"),
            (config.kv_tokens >= config.block_tokens, "kv_tokens", "at least one block"),
            (positive(config.decode_ms), "decode_ms", "above 0"),
            (config.sequence_ms.is_finite() && config.sequence_ms >= 0.0, "sequence_ms", "0 or more"),
            (positive(config.prefill_tokens_per_s), "prefill_tokens_per_s", "above 0"),
            (positive(config.speed), "speed", "above 0"),
        ];
        if let Some((_, field, rule)) = rules.into_iter().find(|(holds, ..)| !holds) {
            return Err(ConfigError { field, rule });
        }
        Ok(Self {
            blocks_total: config.kv_tokens / config.block_tokens,
            config,
            waiting: VecDeque::new(),
            running: Vec::new(),
            iteration: None,
            iterations: 0,
            blocks_used: 0,
            next_id: 0,
            stats: Stats::new(),
        })
    }

    /// Puts a request at the end of the queue; the next iteration may start it.
    ///
    /// # Errors
    /// The queue is full, or the request could never fit.
    pub fn submit(&mut self, now_us: u64, request: Request) -> Result<RequestId, Refused> {
        let request = Request { prompt_tokens: request.prompt_tokens.max(1), ..request };
        let wanted = u64::from(request.prompt_tokens) + u64::from(request.output_tokens);
        let limit = self.longest();
        if wanted > u64::from(limit) {
            return Err(Refused::TooLong { wanted, limit });
        }
        // A request that a free slot takes at the next iteration does not count against the queue.
        let free = self.config.slots.saturating_sub(self.running.len());
        if self.waiting.len() >= self.config.queue.saturating_add(free) {
            self.stats.rejected += 1;
            return Err(Refused::QueueFull(self.config.queue));
        }
        let id = RequestId(self.next_id);
        self.next_id += 1;
        self.waiting.push_back(Sequence {
            id,
            request,
            submitted_us: now_us,
            admitted_us: None,
            first_token_us: None,
            last_token_us: now_us,
            computed: 0,
            generated: 0,
            planned: 0,
        });
        Ok(id)
    }

    /// Takes a request out, wherever it is, and frees its slot and its KV blocks; an unknown one is ignored.
    pub fn cancel(&mut self, id: RequestId) {
        if let Some(at) = self.waiting.iter().position(|s| s.id == id) {
            self.waiting.remove(at);
        } else if let Some(at) = self.running.iter().position(|s| s.id == id) {
            let gone = self.running.remove(at);
            self.blocks_used -= self.blocks(gone.computed + gone.planned);
        } else {
            return;
        }
        self.stats.aborted += 1;
    }

    /// Returns when the iteration under way ends, or `None` when the engine rests.
    pub fn next_at(&self) -> Option<u64> {
        self.iteration.map(|i| i.ends_us)
    }

    /// Ends the iteration that is due and starts the next one; what it brought is appended to `events`.
    ///
    /// Does nothing while an iteration is still under way. Returns whether one ended.
    pub fn step(&mut self, now_us: u64, events: &mut Vec<Event>) -> bool {
        let ended = match self.iteration {
            Some(iteration) if iteration.ends_us > now_us => return false,
            Some(iteration) => {
                self.finish_iteration(now_us, iteration, events);
                true
            }
            None => false,
        };
        self.iteration = self.start_iteration(now_us);
        ended
    }

    /// Returns how loaded the engine is.
    pub fn load(&self) -> Load {
        Load {
            running: self.running.len(),
            waiting: self.waiting.len(),
            kv_used: f64::from(self.blocks_used) / f64::from(self.blocks_total),
        }
    }

    /// Returns everything counted since the start.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Returns the configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Returns the longest request that fits, prompt and answer together, in tokens.
    pub fn longest(&self) -> u32 {
        self.config.max_model_len.min(self.blocks_total * self.config.block_tokens)
    }

    fn blocks(&self, tokens: u32) -> u32 {
        tokens.div_ceil(self.config.block_tokens)
    }
}
