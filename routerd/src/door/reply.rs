//! The body of every answer: bytes at hand, or an engine's stream as it comes.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::{proxy::back::Back, worker::conns::Busy};

/// Why an answer was broken off; the connection ends without a proper end of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the engine broke the answer off")]
pub(crate) struct BrokenOff;

enum Content {
    /// All of it; `None` once it is taken.
    Whole(Option<Bytes>),
    /// An engine's answer.
    Engine(Box<Back>),
}

/// The body of an answer.
pub(crate) struct Reply {
    content: Content,
    busy: Option<Busy>,
}

impl Reply {
    /// A body of bytes at hand.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { content: Content::Whole(Some(bytes).filter(|it| !it.is_empty())), busy: None }
    }

    /// An engine's answer.
    pub(crate) fn engine(back: Back) -> Self {
        Self { content: Content::Engine(Box::new(back)), busy: None }
    }

    /// Keeps the connection marked as busy until the answer is over.
    pub(crate) fn keep(&mut self, busy: Busy) {
        self.busy = Some(busy);
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.get_mut().content {
            Content::Whole(bytes) => Poll::Ready(bytes.take().map(|it| Ok(Frame::data(it)))),
            Content::Engine(back) => back.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Engine(back) => back.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |it| u64::try_from(it.len()).unwrap_or(u64::MAX)))
            }
            Content::Engine(back) => back.size_hint(),
        }
    }
}
