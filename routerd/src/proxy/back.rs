//! An engine's answer on its way to the client. Dropped early (the client has gone), it closes the engine's connection,
//! which is what stops the engine's work.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http::{StatusCode, header, response};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use mesh_strategy::route::{Event, FailureKind, Usage};

use crate::{
    door::{errors, reply::BrokenOff},
    proxy::{flight::Flight, link::Link, pool::Endpoint, sse::Events},
    worker::conns::ConnState,
};

/// Ready pieces are merged up to this size.
const MERGED_BYTES_MAX: usize = 16 * 1024;

type Piece = Option<Result<Frame<Bytes>, hyper::Error>>;

enum Phase {
    /// The engine's bytes pass.
    Streams,
    /// The engine broke off: an error event is still to be sent.
    Breaks(Option<Bytes>),
    /// The error event is on its way; then the connection ends. True once it was given time to leave.
    Broken(bool),
    /// All has passed.
    Over,
}

/// The body of an engine's answer.
pub(crate) struct Back {
    flight: Flight,
    attempt: u8,
    link: Option<Link>,
    endpoint: Rc<Endpoint>,
    body: Incoming,
    /// Of an event stream with status 200.
    events: Option<Events>,
    is_stream: bool,
    first_us: Option<u64>,
    last_us: u64,
    held: Option<Piece>,
    phase: Phase,
    conn: Rc<ConnState>,
}

impl Back {
    /// The body of an answer whose head has come.
    pub(crate) fn new(
        flight: Flight,
        attempt: u8,
        (link, endpoint): (Link, Rc<Endpoint>),
        (head, body): (&response::Parts, Incoming),
        conn: Rc<ConnState>,
    ) -> Self {
        let is_stream =
            head.headers.get(header::CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(b"text/event-stream"));
        let mut back = Self {
            flight,
            attempt,
            link: Some(link),
            endpoint,
            events: (is_stream && head.status == StatusCode::OK).then(Events::new),
            is_stream,
            first_us: None,
            last_us: 0,
            held: None,
            phase: Phase::Streams,
            conn,
            body,
        };
        let now_us = back.flight.worker.shared.clock.now_us();
        back.flight.arm_idle(now_us);
        back.conn.answers(back.flight.timer());
        if back.body.is_end_stream() {
            back.end(now_us);
        }
        back
    }

    /// Whether nothing more will come.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self.phase, Phase::Over) && self.held.is_none()
    }

    /// How much will come, as far as the engine said.
    pub(crate) fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }

    /// The next piece: all that is ready now, and never waiting for more.
    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let first = match self.held.take() {
            Some(piece) => Poll::Ready(piece),
            None => match &mut self.phase {
                Phase::Streams => self.poll_piece(cx),
                Phase::Breaks(event) => {
                    let event = event.take();
                    self.phase = Phase::Broken(false);
                    // The piece is written before the next poll: a poll that is pending lets the connection flush.
                    cx.waker().wake_by_ref();
                    return match event {
                        Some(event) => Poll::Ready(Some(Ok(Frame::data(event)))),
                        None => Poll::Pending,
                    };
                }
                Phase::Broken(looked) => {
                    let looked = std::mem::replace(looked, true);
                    return self.poll_broken(cx, looked);
                }
                Phase::Over => return Poll::Ready(None),
            },
        };
        match first {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => {
                self.phase = Phase::Over;
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::debug!(%error, "an engine broke an answer off");
                self.breaks(FailureKind::Reset);
                self.poll_frame(cx)
            }
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Poll::Ready(Some(Ok(Frame::data(self.merge(data, cx))))),
                Err(trailers) => Poll::Ready(Some(Ok(trailers))),
            },
        }
    }

    fn merge(&mut self, first: Bytes, cx: &mut Context<'_>) -> Bytes {
        let mut all: Option<BytesMut> = None;
        while matches!(self.phase, Phase::Streams) {
            let Poll::Ready(piece) = self.poll_piece(cx) else { break };
            match piece {
                Some(Ok(frame)) if frame.is_data() => {
                    let all = all.get_or_insert_with(|| {
                        let mut all = BytesMut::with_capacity(4096.max(first.len() * 2));
                        all.extend_from_slice(&first);
                        all
                    });
                    if let Some(data) = frame.data_ref() {
                        all.extend_from_slice(data);
                    }
                    if all.len() >= MERGED_BYTES_MAX {
                        break;
                    }
                }
                None => self.phase = Phase::Over,
                other => {
                    self.held = Some(other);
                    break;
                }
            }
        }
        all.map_or(first, BytesMut::freeze)
    }

    /// One piece as the engine sent it, counted.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        let mut piece = Pin::new(&mut self.body).poll_frame(cx);
        if piece.is_pending() {
            if let Some(link) = &mut self.link {
                link.drive(cx);
            }
            piece = Pin::new(&mut self.body).poll_frame(cx);
        }
        let piece = match piece {
            Poll::Ready(piece) => piece,
            Poll::Pending if self.flight.poll_due(cx).is_ready() => {
                tracing::debug!("an engine fell silent within an answer");
                self.breaks(FailureKind::Timeout);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Pending => return Poll::Pending,
        };
        let now_us = self.flight.worker.shared.clock.now_us();
        match &piece {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.saw(data, now_us);
                }
                if self.body.is_end_stream() {
                    self.end(now_us);
                }
            }
            Some(Err(_)) => {}
            None => self.end(now_us),
        }
        Poll::Ready(piece)
    }

    fn saw(&mut self, data: &[u8], now_us: u64) {
        if self.first_us.is_none() && !data.is_empty() {
            self.first_us = Some(now_us);
            self.flight.step(Event::FirstByte { attempt: self.attempt });
            if self.events.is_some() {
                let us = u32::try_from(now_us - self.flight.arrived_us).unwrap_or(u32::MAX);
                self.flight.model.ttft.observe(f64::from(us) / 1e6);
            }
        }
        if let Some(events) = &mut self.events {
            events.feed(data);
        }
        self.last_us = now_us;
        self.flight.arm_idle(now_us);
    }

    /// The answer is complete: its place is free and its connection can be used again.
    fn end(&mut self, now_us: u64) {
        if !matches!(self.phase, Phase::Streams) {
            return;
        }
        self.phase = Phase::Over;
        let tokens = self.events.map(|it| it.count());
        if let (Some(target), Some(first_us), Some(tokens)) = (self.flight.target(self.attempt), self.first_us, tokens)
        {
            let ttft_us = self.flight.ttft_us(self.attempt, first_us);
            let between_us = self.last_us - first_us;
            let per_token = (tokens > 1).then(|| millis(between_us) / millis(u64::from(tokens - 1) * 1000));
            target.record_latency(millis(ttft_us), per_token);
        }
        let usage = Usage { prompt_tokens: None, completion_tokens: tokens };
        self.flight.step(Event::Ended { attempt: self.attempt, usage });
        if let Some(link) = self.link.take() {
            self.endpoint.give_back(link, now_us);
        }
    }

    /// The engine broke off: its connection goes at once, the client gets an error event and no proper end.
    fn breaks(&mut self, kind: FailureKind) {
        self.link = None;
        self.flight.failed(self.attempt, kind, true);
        let event = self.is_stream.then(|| {
            let message = match kind {
                FailureKind::Timeout => "the engine fell silent within the answer, or its node was taken out by force",
                FailureKind::Connect | FailureKind::Reset => "the engine broke the answer off",
            };
            errors::stream_error_event(message)
        });
        self.phase = Phase::Breaks(event);
    }

    fn poll_broken(&mut self, cx: &mut Context<'_>, looked: bool) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        if self.conn.is_blocked() {
            // The client's socket is full; the connection polls again once it takes more, or is cut by the sweep.
            return Poll::Pending;
        }
        if !looked {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.conn.broken.set(true);
        self.phase = Phase::Over;
        Poll::Ready(Some(Err(BrokenOff)))
    }
}

impl Drop for Back {
    fn drop(&mut self) {
        self.conn.answered(self.flight.timer());
    }
}

/// Milliseconds of microseconds; exact enough for averages.
fn millis(us: u64) -> f32 {
    #[expect(clippy::cast_precision_loss, reason = "an average needs no more digits")]
    let us = us as f32;
    us / 1000.0
}
