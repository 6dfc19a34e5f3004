//! One client's connection: HTTP/1, or HTTP/2 when the client begins with its preface.

use std::{
    future::{Future, poll_fn},
    io,
    pin::{Pin, pin},
    rc::Rc,
    task::{Context, Poll},
};

use hyper::{
    rt::Executor,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use crate::{
    door::service,
    worker::{Worker, conns::ConnState},
};

/// How HTTP/2 without TLS begins; no HTTP/1 method does.
const PREFACE: &[u8] = b"PRI ";
const HEADERS_MAX: usize = 100;
const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Streams of one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;

/// A client's socket that notes what it does.
struct Noted {
    stream: TcpStream,
    state: Rc<ConnState>,
}

impl Drop for Noted {
    fn drop(&mut self) {
        if self.state.broken.get() && self.state.http10.get() {
            // Without chunks a plain close would look like a proper end. A failure leaves that plain close.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Noted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.state.read();
        }
        read
    }
}

impl AsyncWrite for Noted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.state.wrote(wrote.is_ready());
        wrote
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Runs the streams of an HTTP/2 connection on the worker's own thread.
#[derive(Clone)]
struct OnWorker(Rc<Worker>);

impl<F: Future<Output = ()> + 'static> Executor<F> for OnWorker {
    fn execute(&self, future: F) {
        self.0.conns.tasks.spawn_local(future);
    }
}

/// Serves a connection until it ends, is cut, or the door closes and its answers are finished.
pub(crate) async fn serve(worker: Rc<Worker>, stream: TcpStream) {
    let state = ConnState::new(worker.shared.clock);
    worker.conns.add(&state);
    worker.shared.metrics.connections.inc();
    let mut work = pin!(speak(worker.clone(), state.clone(), stream));
    poll_fn(|cx| {
        if state.waker.borrow().is_none() {
            *state.waker.borrow_mut() = Some(cx.waker().clone());
        }
        let unused = worker.conns.draining.get() && !state.has_spoken.get();
        if state.cut.get() || unused { Poll::Ready(()) } else { work.as_mut().poll(cx) }
    })
    .await;
    worker.shared.metrics.connections.dec();
}

async fn speak(worker: Rc<Worker>, state: Rc<ConnState>, stream: TcpStream) {
    let is_http2 = begins_with_preface(&worker, &stream).await;
    state.has_spoken.set(true);
    let io = TokioIo::new(Noted { stream, state: state.clone() });
    let service = {
        let worker = worker.clone();
        service_fn(move |request| service::handle(worker.clone(), state.clone(), request))
    };
    // How a connection ends is the client's affair: what matters was counted where it happened.
    if is_http2 {
        let mut builder = http2::Builder::new(OnWorker(worker.clone()));
        builder.max_concurrent_streams(STREAMS_MAX).max_header_list_size(64 * 1024);
        let mut conn = pin!(builder.serve_connection(io, service));
        let mut asked = false;
        let _ = poll_fn(|cx| {
            if worker.conns.draining.get() && !std::mem::replace(&mut asked, true) {
                conn.as_mut().graceful_shutdown();
            }
            conn.as_mut().poll(cx)
        })
        .await;
    } else {
        let mut builder = http1::Builder::new();
        // Small answers go out as one copy: cheaper than a vectored write of head and body.
        builder.writev(false).max_headers(HEADERS_MAX).max_header_size(HEADER_BYTES_MAX);
        let mut conn = pin!(builder.serve_connection(io, service));
        let mut asked = false;
        let _ = poll_fn(|cx| {
            if worker.conns.draining.get() && !std::mem::replace(&mut asked, true) {
                conn.as_mut().graceful_shutdown();
            }
            conn.as_mut().poll(cx)
        })
        .await;
    }
}

/// Looks at the first bytes without taking them.
async fn begins_with_preface(worker: &Worker, stream: &TcpStream) -> bool {
    let mut first = [0; PREFACE.len()];
    let timer = worker.grid.timer();
    loop {
        match stream.peek(&mut first).await {
            Ok(n) if n > 0 && n < first.len() && first[..n] == PREFACE[..n] => {
                // Readable stays true: look again a little later, as the sweep bounds the wait.
                timer.set(worker.shared.clock.now_us() + crate::worker::grid::GRID_US);
                poll_fn(|cx| timer.poll(cx)).await;
            }
            Ok(n) => return first[..n] == *PREFACE,
            Err(_) => return false,
        }
    }
}
