//! One HTTP/1 connection to an engine, polled by the request that uses it and by nobody else.

use std::{
    cell::Cell,
    future::{Future as _, poll_fn},
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The body of a request: bytes that are shared with a later attempt.
pub(crate) struct Whole(Option<Bytes>);

impl Whole {
    /// A body of these bytes.
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self(Some(bytes).filter(|it| !it.is_empty()))
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.get_mut().0.take().map(|it| Ok(Frame::data(it))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |it| u64::try_from(it.len()).unwrap_or(u64::MAX)))
    }
}

/// A socket that remembers whether anything was ever read since the flag was lowered.
struct Marked {
    stream: TcpStream,
    read: Rc<Cell<bool>>,
}

impl AsyncRead for Marked {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.read.set(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Marked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A connection to an engine. Dropping it closes the socket, which is what stops the engine's work.
pub(crate) struct Link {
    sender: http1::SendRequest<Whole>,
    connection: Pin<Box<http1::Connection<TokioIo<Marked>, Whole>>>,
    read: Rc<Cell<bool>>,
    /// Whether it has carried a request before.
    pub(crate) reused: bool,
}

/// A request that brought no answer.
pub(crate) struct Lost {
    /// What happened.
    pub(crate) error: hyper::Error,
    /// Whether a byte of an answer had been read.
    pub(crate) bytes_seen: bool,
}

impl Link {
    /// Speaks HTTP/1 over a fresh socket.
    pub(crate) async fn open(stream: TcpStream) -> Result<Self, hyper::Error> {
        let read = Rc::new(Cell::new(false));
        let io = TokioIo::new(Marked { stream, read: read.clone() });
        // Small heads and bodies go out as one copy: cheaper than a vectored write of two.
        let (sender, connection) = http1::Builder::new().writev(false).handshake(io).await?;
        Ok(Self { sender, connection: Box::pin(connection), read, reused: false })
    }

    /// Whether an idle connection can still carry a request.
    pub(crate) async fn is_alive(&mut self) -> bool {
        let open = poll_fn(|cx| Poll::Ready(self.connection.as_mut().poll(cx).is_pending())).await;
        open && self.sender.is_ready()
    }

    /// Sends a request and waits for the head of the answer, driving the connection meanwhile.
    pub(crate) async fn send(&mut self, request: Request<Whole>) -> Result<Response<Incoming>, Lost> {
        self.read.set(false);
        let sent = self.sender.send_request(request);
        let mut sent = std::pin::pin!(sent);
        let connection = &mut self.connection;
        let answer = poll_fn(|cx| {
            // Its own error arrives through `sent`.
            let _ = connection.as_mut().poll(cx);
            sent.as_mut().poll(cx)
        });
        answer.await.map_err(|error| Lost { error, bytes_seen: self.read.get() })
    }

    /// Drives the connection once; what it read is then found in the body of the answer.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) {
        // Its own error arrives through the body.
        let _ = self.connection.as_mut().poll(cx);
    }

    /// Whether it may carry another request once the present answer is over.
    pub(crate) fn is_reusable(&self) -> bool {
        !self.sender.is_closed()
    }
}
