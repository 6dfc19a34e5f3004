//! An engine on a bare socket: it does exactly what a test tells it, down to the bytes.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

/// What the engine does with a request.
#[derive(Debug, Clone)]
pub(crate) enum Do {
    /// A whole JSON answer.
    Json,
    /// A JSON answer that repeats the request's head in its body.
    Echo,
    /// An answer with this status and no work done.
    Status(u16),
    /// Closes without a byte.
    Drop,
    /// Never answers.
    Hang,
    /// The head of a stream, so many events, then the end; with a pause before each.
    Stream(usize, Duration),
    /// As `Stream`, and then the connection breaks.
    Die(usize),
    /// As `Stream`, and then silence.
    Stall(usize),
    /// 103 before the answer.
    EarlyHints,
    /// A whole answer with a length, cut after half.
    HalfJson,
    /// These bytes, whatever they are.
    Raw(Vec<u8>),
    /// This beginning, and then this for ever.
    Flood(&'static str, &'static str),
}

#[derive(Default)]
struct State {
    always: Mutex<Option<Do>>,
    active: AtomicUsize,
    aborted: AtomicUsize,
    requests: AtomicUsize,
    connections: AtomicUsize,
    close_reused: AtomicUsize,
}

/// A running engine; it ends when it is dropped.
pub(crate) struct Engine {
    pub(crate) addr: SocketAddr,
    state: Arc<State>,
    task: JoinHandle<()>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Engine {
    pub(crate) async fn start(always: Do) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        *state.always.lock().unwrap() = Some(always);
        let shared = state.clone();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                shared.connections.fetch_add(1, SeqCst);
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { addr, state, task }
    }

    pub(crate) fn always(&self, what: Do) {
        *self.state.always.lock().unwrap() = Some(what);
    }

    /// The next requests on connections that were used before are met with a close.
    pub(crate) fn close_reused(&self, times: usize) {
        self.state.close_reused.store(times, SeqCst);
    }

    pub(crate) fn active(&self) -> usize {
        self.state.active.load(SeqCst)
    }

    pub(crate) fn aborted(&self) -> usize {
        self.state.aborted.load(SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(SeqCst)
    }
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

struct Working<'a>(&'a State, bool);

impl<'a> Working<'a> {
    fn new(state: &'a State) -> Self {
        state.active.fetch_add(1, SeqCst);
        Self(state, false)
    }
}

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, SeqCst);
        if !self.1 {
            self.0.aborted.fetch_add(1, SeqCst);
        }
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) {
    let mut buffer = Vec::new();
    let mut used = false;
    while let Some(head) = request(&mut stream, &mut buffer).await {
        if used && state.close_reused.load(SeqCst) > 0 {
            state.close_reused.fetch_sub(1, SeqCst);
            return;
        }
        used = true;
        state.requests.fetch_add(1, SeqCst);
        let what = state.always.lock().unwrap().clone().unwrap();
        let mut working = Working::new(&state);
        let kept = answer(&mut stream, &what, &head).await;
        working.1 = kept.is_some();
        if kept != Some(true) {
            return;
        }
    }
}

/// Reads one request; `None` at the end.
async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            let length =
                head.to_lowercase().lines().find_map(|it| it.strip_prefix("content-length: ")?.parse::<usize>().ok());
            let whole = end + 4 + length.unwrap_or(0);
            while buffer.len() < whole {
                if stream.read_buf(buffer).await.ok()? == 0 {
                    return None;
                }
            }
            buffer.drain(..whole);
            return Some(head);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

pub(crate) const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn json(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Waits until the other side hangs up.
async fn hung_up(stream: &mut TcpStream) {
    let mut byte = [0; 64];
    while stream.read(&mut byte).await.is_ok_and(|n| n > 0) {}
}

async fn event(stream: &mut TcpStream, n: usize, pause: Duration) -> Option<()> {
    if !pause.is_zero() {
        let mut byte = [0; 1];
        tokio::select! {
            () = sleep(pause) => {}
            _ = stream.peek(&mut byte) => return None,
        }
    }
    let event = format!("data: {{\"n\":{n}}}\n\n");
    stream.write_all(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes()).await.ok()
}

/// Some(true): the connection goes on; Some(false): it ends as planned; None: the other side left.
async fn answer(stream: &mut TcpStream, what: &Do, head: &str) -> Option<bool> {
    match what {
        Do::Json => stream.write_all(json(200, r#"{"ok":true}"#).as_bytes()).await.ok().map(|()| true),
        Do::Echo => {
            let body = serde_json::to_string(&head.lines().collect::<Vec<_>>()).unwrap();
            stream.write_all(json(200, &body).as_bytes()).await.ok().map(|()| true)
        }
        Do::Status(status) => {
            let body = format!(r#"{{"error":{{"message":"engine says {status}"}}}}"#);
            stream.write_all(json(*status, &body).as_bytes()).await.ok().map(|()| true)
        }
        Do::Drop => Some(false),
        Do::Hang => {
            hung_up(stream).await;
            None
        }
        Do::EarlyHints => {
            stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").await.ok()?;
            stream.write_all(json(200, r#"{"ok":true}"#).as_bytes()).await.ok().map(|()| true)
        }
        Do::HalfJson => {
            let whole = json(200, &"x".repeat(2000));
            stream.write_all(&whole.as_bytes()[..1000]).await.ok()?;
            Some(false)
        }
        Do::Raw(bytes) => stream.write_all(bytes).await.ok().map(|()| true),
        Do::Flood(begins, goes_on) => {
            stream.write_all(begins.as_bytes()).await.ok()?;
            let goes_on = goes_on.repeat(1000);
            while stream.write_all(goes_on.as_bytes()).await.is_ok() {}
            None
        }
        Do::Stream(events, pause) => {
            stream.write_all(STREAM_HEAD.as_bytes()).await.ok()?;
            for n in 0..*events {
                event(stream, n, *pause).await?;
            }
            let done = "data: [DONE]\n\n";
            stream.write_all(format!("{:x}\r\n{done}\r\n0\r\n\r\n", done.len()).as_bytes()).await.ok().map(|()| true)
        }
        Do::Die(events) | Do::Stall(events) => {
            stream.write_all(STREAM_HEAD.as_bytes()).await.ok()?;
            for n in 0..*events {
                event(stream, n, Duration::ZERO).await?;
            }
            if matches!(what, Do::Die(_)) {
                return Some(false);
            }
            hung_up(stream).await;
            None
        }
    }
}
