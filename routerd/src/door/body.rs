//! Reads a request's body: whole, bounded, without a copy when it came in one piece.

use std::{future::poll_fn, pin::Pin, sync::Arc, task::Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::{
    door::errors::Refusal,
    shared::{BODY_BYTES_MAX, Shared},
    worker::{Worker, grid::Timer},
};

/// The longest silence within a body.
const SILENCE_US_MAX: u64 = 30_000_000;
/// Bodies up to this size are read into one allocation.
const PRESIZED_BYTES_MAX: u64 = 1024 * 1024;
/// Of a body that is too large, at most this much is read so that the client sees the refusal.
const DISCARDED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A body and its share of the budget of all bodies, given back when it is dropped.
pub(crate) struct Held {
    /// The bytes.
    pub(crate) bytes: Bytes,
    budget: Budget,
}

impl Held {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> u64 {
        self.budget.bytes
    }
}

struct Budget {
    shared: Arc<Shared>,
    bytes: u64,
}

impl Budget {
    fn take(&mut self, more: usize) -> Result<(), Refusal> {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        if self.bytes.saturating_add(more) > BODY_BYTES_MAX {
            return Err(too_large());
        }
        if !self.shared.reserve(more) {
            let message = "the router holds too many request bodies; try again later";
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", message);
            return Err(refusal.retry_after(Some(1)).closing());
        }
        self.bytes += more;
        Ok(())
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        self.shared.unreserve(self.bytes);
    }
}

fn too_large() -> Refusal {
    let message = format!("the request body is larger than {BODY_BYTES_MAX} bytes");
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "request_too_large", message).closing()
}

/// Reads a body to its end.
pub(crate) async fn read(worker: &Worker, headers: &HeaderMap, mut body: Incoming) -> Result<Held, Refusal> {
    let timer = worker.grid.timer();
    let mut budget = Budget { shared: worker.shared.clone(), bytes: 0 };
    let declared = body.size_hint().exact();
    let result = match declared {
        Some(length) if length > BODY_BYTES_MAX => Err(too_large()),
        _ => collect(worker, &timer, (&mut body, declared), &mut budget).await,
    };
    match result {
        Ok(bytes) => Ok(Held { bytes, budget }),
        Err(refusal) => {
            drop(budget);
            // A client that asked first has not sent it; reading would tell it to.
            if refusal.status == StatusCode::PAYLOAD_TOO_LARGE && !headers.contains_key(header::EXPECT) {
                discard(worker, &timer, &mut body).await;
            }
            Err(refusal)
        }
    }
}

async fn collect(
    worker: &Worker,
    timer: &Timer,
    (body, declared): (&mut Incoming, Option<u64>),
    budget: &mut Budget,
) -> Result<Bytes, Refusal> {
    let Some(first) = next(worker, timer, body).await? else { return Ok(Bytes::new()) };
    budget.take(first.len())?;
    if body.is_end_stream() {
        return Ok(first);
    }
    let Some(second) = next(worker, timer, body).await? else { return Ok(first) };
    budget.take(second.len())?;
    let presized = declared.filter(|it| *it <= PRESIZED_BYTES_MAX).and_then(|it| usize::try_from(it).ok());
    let mut all = BytesMut::with_capacity(presized.unwrap_or(0).max(first.len() + second.len()));
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    drop((first, second));
    while let Some(more) = next(worker, timer, body).await? {
        budget.take(more.len())?;
        all.extend_from_slice(&more);
    }
    Ok(all.freeze())
}

/// The next bytes; trailers are left out.
async fn next(worker: &Worker, timer: &Timer, body: &mut Incoming) -> Result<Option<Bytes>, Refusal> {
    let mut armed = false;
    loop {
        let frame = poll_fn(|cx| {
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                return Poll::Ready(Some(frame));
            }
            if !armed {
                armed = true;
                timer.set(worker.shared.clock.now_us() + SILENCE_US_MAX);
            }
            timer.poll(cx).map(|()| None)
        })
        .await;
        if armed {
            timer.clear();
        }
        match frame {
            Some(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            Some(None) => return Ok(None),
            Some(Some(Err(error))) => {
                let message = format!("the request body could not be read: {error}");
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "invalid_body", message).closing());
            }
            None => {
                let message = "the request body did not come in time";
                return Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message).closing());
            }
        }
    }
}

async fn discard(worker: &Worker, timer: &Timer, body: &mut Incoming) {
    let mut left = DISCARDED_BYTES_MAX;
    while let Ok(Some(data)) = next(worker, timer, body).await {
        left = left.saturating_sub(u64::try_from(data.len()).unwrap_or(u64::MAX));
        if left == 0 {
            return;
        }
    }
}
