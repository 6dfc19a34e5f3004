//! One iteration: who takes part, how long it lasts, what it brings.

use super::{Engine, Event, Finish, Iteration, Sequence};

impl Engine {
    /// Plans the next iteration from `now_us`, or returns `None` when there is nothing to do.
    pub(super) fn start_iteration(&mut self, now_us: u64) -> Option<Iteration> {
        let mut budget = self.config.batch_tokens;
        let preempted = self.plan_running(&mut budget);
        if !preempted {
            self.admit(now_us, &mut budget);
        }
        let tokens = self.config.batch_tokens - budget;
        if tokens == 0 {
            return None;
        }
        self.iterations += 1;
        Some(Iteration { ends_us: now_us.saturating_add(self.duration_us()), tokens })
    }

    /// Gives every running sequence its tokens, oldest first; returns whether one had to leave.
    fn plan_running(&mut self, budget: &mut u32) -> bool {
        let mut preempted = false;
        let mut at = 0;
        while at < self.running.len() {
            let want = self.running[at].remaining().min(*budget);
            let held = self.running[at].computed;
            let need = self.blocks(held + want) - self.blocks(held);
            while need > self.blocks_total - self.blocks_used && self.running.len() > at {
                self.preempt_youngest();
                preempted = true;
            }
            // The sequence itself may have been the youngest.
            let Some(sequence) = self.running.get_mut(at) else { break };
            sequence.planned = want;
            self.blocks_used += need;
            *budget -= want;
            at += 1;
        }
        preempted
    }

    /// Sends the youngest running sequence back to the head of the queue; its KV entries are lost.
    fn preempt_youngest(&mut self) {
        let Some(mut sequence) = self.running.pop() else { return };
        self.blocks_used -= self.blocks(sequence.computed + sequence.planned);
        sequence.computed = 0;
        sequence.planned = 0;
        self.stats.preemptions += 1;
        self.waiting.push_front(sequence);
    }

    /// Starts waiting requests in order while a slot, tokens of this iteration and KV blocks are free.
    fn admit(&mut self, now_us: u64, budget: &mut u32) {
        while self.running.len() < self.config.slots && *budget > 0 {
            let Some(front) = self.waiting.front() else { return };
            let want = front.remaining().min(*budget);
            let need = self.blocks(want);
            if need > self.blocks_total - self.blocks_used {
                return;
            }
            let Some(mut sequence) = self.waiting.pop_front() else { return };
            sequence.planned = want;
            if sequence.admitted_us.is_none() {
                sequence.admitted_us = Some(now_us);
                self.stats.queue_time.observe(seconds(now_us, sequence.submitted_us));
            }
            self.blocks_used += need;
            *budget -= want;
            self.running.push(sequence);
        }
    }

    /// Returns how long the planned iteration takes.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a duration of finite positive parts; a float beyond u64 saturates"
    )]
    fn duration_us(&self) -> u64 {
        let config = &self.config;
        let busy = self.running.iter().filter(|s| s.planned > 0);
        let (mut sequences, mut prefill) = (0.0, 0.0);
        for sequence in busy {
            sequences += 1.0;
            if sequence.planned > 1 {
                prefill += f64::from(sequence.planned);
            }
        }
        let ms = config.decode_ms + sequences * config.sequence_ms + prefill * 1000.0 / config.prefill_tokens_per_s;
        let spread = unit(splitmix64(config.seed ^ self.iterations)) * 0.04 - 0.02;
        (ms * (1.0 + spread) * 1000.0 / config.speed).max(1.0) as u64
    }

    /// Gives the sequences of the iteration their tokens and lets the finished ones go.
    pub(super) fn finish_iteration(&mut self, now_us: u64, iteration: Iteration, events: &mut Vec<Event>) {
        self.stats.iteration_tokens.observe(f64::from(iteration.tokens));
        let mut kept = Vec::with_capacity(self.running.len());
        for mut sequence in std::mem::take(&mut self.running) {
            let before = sequence.computed;
            sequence.computed += sequence.planned;
            let worked = sequence.planned > 0;
            sequence.planned = 0;
            let prompt_left = sequence.request.prompt_tokens.saturating_sub(before);
            self.stats.prompt_tokens += u64::from(prompt_left.min(sequence.computed - before));
            if !worked || sequence.computed < sequence.request.prompt_tokens + sequence.generated {
                kept.push(sequence);
                continue;
            }
            let event = self.emit(now_us, &mut sequence);
            events.push(event);
            match event.finish {
                None => kept.push(sequence),
                Some(finish) => {
                    self.blocks_used -= self.blocks(sequence.computed);
                    self.stats.finished(now_us, &sequence, finish);
                }
            }
        }
        self.running = kept;
    }

    /// Makes the event of a sequence whose every known token is computed.
    fn emit(&mut self, now_us: u64, sequence: &mut Sequence) -> Event {
        let request = sequence.id;
        if sequence.request.output_tokens == 0 {
            sequence.first_token_us = Some(now_us);
            return Event { request, token: None, finish: Some(Finish::Stop) };
        }
        let token = sequence.generated;
        sequence.generated += 1;
        self.stats.generation_tokens += 1;
        if sequence.first_token_us.is_none() {
            sequence.first_token_us = Some(now_us);
            self.stats.time_to_first_token.observe(seconds(now_us, sequence.submitted_us));
        } else {
            self.stats.inter_token_latency.observe(seconds(now_us, sequence.last_token_us));
        }
        sequence.last_token_us = now_us;
        let finish = (sequence.generated >= sequence.request.output_tokens).then_some(sequence.request.finish);
        Event { request, token: Some(token), finish }
    }
}

impl Sequence {
    /// Returns the tokens that must be computed before the next one can be generated.
    fn remaining(&self) -> u32 {
        self.request.prompt_tokens + self.generated - self.computed
    }
}

/// Returns the seconds from `since_us` to `now_us`, 0 if the clock went back.
#[expect(clippy::cast_precision_loss, reason = "a request lasts far less than the 285 years a double holds exactly")]
pub(super) fn seconds(now_us: u64, since_us: u64) -> f64 {
    now_us.saturating_sub(since_us) as f64 / 1e6
}

/// Returns the next number of Vigna's SplitMix64 after state `x`.
pub(crate) fn splitmix64(x: u64) -> u64 {
    let z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Maps 64 random bits to 0..1.
#[expect(clippy::cast_precision_loss, reason = "the 53 bits kept fit a double exactly")]
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}
