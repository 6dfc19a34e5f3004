//! The load of `cargo xtask bench router`: sends chat requests over kept connections and measures each.
//!
//! Closed loop (every connection sends its next request when the last one ended), or, with `--rate`, open loop: request
//! i is due at i / rate and its latency counts from there, so that a slow router cannot hide its queue. It reads
//! answers by hand, because a client library would cost more than the routers it measures. Prints one JSON object.

use std::io::{Error, ErrorKind, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use std::{cell::Cell, cell::RefCell};

use clap::{Parser, ValueEnum};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long one request may take before it counts as an error.
const REQUEST_LIMIT: Duration = Duration::from_secs(20);

/// Loads one router and prints what it measured as JSON.
#[derive(Parser)]
struct Args {
    /// The router
    address: SocketAddr,
    /// What to ask for
    #[arg(long, value_enum, default_value = "json")]
    mode: Mode,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// How long to send, in seconds
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Requests per second over all connections; 0 sends as fast as answers come
    #[arg(long, default_value_t = 0.0)]
    rate: f64,
    /// Extra bytes in the prompt
    #[arg(long, default_value_t = 0)]
    prompt_bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Answers in one piece
    Json,
    /// Streams of server-sent events
    Sse,
}

/// Collects what all connections measured, in microseconds.
#[derive(Default)]
struct Measured {
    latency_us: Vec<u64>,
    first_us: Vec<u64>,
    events: usize,
    errors: usize,
}

/// Says when the next request is due.
struct Schedule {
    started: Instant,
    ends: Instant,
    rate: f64,
    sent: Cell<u32>,
}

impl Schedule {
    /// Waits for the time of the next request and returns it, or `None` at the end.
    async fn next(&self) -> Option<Instant> {
        let due = if self.rate > 0.0 {
            let number = self.sent.replace(self.sent.get() + 1);
            self.started + Duration::from_secs_f64(f64::from(number) / self.rate)
        } else {
            Instant::now()
        };
        if due >= self.ends {
            return None;
        }
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        Some(due)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let started = Instant::now();
    let ends = started + Duration::from_secs_f64(args.seconds);
    let schedule = Rc::new(Schedule { started, ends, rate: args.rate, sent: Cell::new(0) });
    let measured = Rc::new(RefCell::new(Measured::default()));
    let request: Rc<[u8]> = request(&args).into();
    let tasks = tokio::task::LocalSet::new();
    for _ in 0..args.connections {
        let (schedule, measured, request) = (Rc::clone(&schedule), Rc::clone(&measured), Rc::clone(&request));
        tasks.spawn_local(async move { connection(args.address, &request, &schedule, &measured).await });
    }
    tasks.await;
    let line = report(&mut measured.borrow_mut(), started.elapsed().as_secs_f64());
    writeln!(std::io::stdout(), "{line}")?;
    Ok(())
}

/// Returns the bytes of the one request that is sent again and again.
fn request(args: &Args) -> Vec<u8> {
    let prompt = format!("Hello, what is the capital of France? {}", "lorem ipsum ".repeat(args.prompt_bytes / 12));
    let body = serde_json::json!({
        "model": "bench",
        "messages": [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": prompt}],
        "max_tokens": 64,
        "stream": args.mode == Mode::Sse,
    })
    .to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        args.address,
        body.len()
    )
    .into_bytes()
}

/// Sends requests over one connection, opening it again when it breaks.
async fn connection(address: SocketAddr, request: &[u8], schedule: &Schedule, measured: &RefCell<Measured>) {
    let mut open: Option<Connection> = None;
    while let Some(due) = schedule.next().await {
        let connection = match open.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(address).await,
        };
        let sent = async {
            let mut connection = connection?;
            let seen = connection.exchange(request).await?;
            Ok::<_, Error>((connection, seen))
        };
        let mut measured_now = match tokio::time::timeout(REQUEST_LIMIT, sent).await {
            Ok(Ok((connection, seen))) => {
                let mut measured = measured.borrow_mut();
                measured.latency_us.push(micros(due.elapsed()));
                measured.first_us.push(micros(seen.first.saturating_duration_since(due)));
                measured.events += seen.events;
                open = Some(connection);
                continue;
            }
            Ok(Err(_)) | Err(_) => measured.borrow_mut(),
        };
        measured_now.errors += 1;
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// What one answer showed.
struct Seen {
    first: Instant,
    events: usize,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(32 << 10) })
    }

    async fn fill(&mut self) -> std::io::Result<()> {
        let read = self.stream.read_buf(&mut self.buffer).await?;
        if read == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Reads on until `wanted` occurs and returns where it ends.
    async fn until(&mut self, wanted: &[u8]) -> std::io::Result<usize> {
        loop {
            if let Some(at) = self.buffer.windows(wanted.len()).position(|w| w == wanted) {
                return Ok(at + wanted.len());
            }
            self.fill().await?;
        }
    }

    /// Reads on until the buffer holds `bytes`.
    async fn hold(&mut self, bytes: usize) -> std::io::Result<()> {
        while self.buffer.len() < bytes {
            self.fill().await?;
        }
        Ok(())
    }

    /// Sends the request and reads its whole answer, which must be a 200.
    async fn exchange(&mut self, request: &[u8]) -> std::io::Result<Seen> {
        self.stream.write_all(request).await?;
        let head_ends = self.until(b"\r\n\r\n").await?;
        let head = String::from_utf8_lossy(&self.buffer[..head_ends]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return Err(Error::other(head.lines().next().unwrap_or_default().to_owned()));
        }
        self.buffer.drain(..head_ends);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        match length {
            Some(length) => {
                self.hold(length).await?;
                self.buffer.drain(..length);
                Ok(Seen { first: Instant::now(), events: 0 })
            }
            None => self.chunks().await,
        }
    }

    /// Reads a chunked body, counting its events.
    async fn chunks(&mut self) -> std::io::Result<Seen> {
        let (mut first, mut events) = (None, 0);
        loop {
            let line_ends = self.until(b"\r\n").await?;
            let digits = String::from_utf8_lossy(&self.buffer[..line_ends - 2]).into_owned();
            let size = usize::from_str_radix(digits.trim(), 16).map_err(|_| Error::from(ErrorKind::InvalidData))?;
            let ends = line_ends + size + 2;
            self.hold(ends).await?;
            first.get_or_insert_with(Instant::now);
            events += self.buffer[line_ends..ends].windows(5).filter(|w| w == b"data:").count();
            self.buffer.drain(..ends);
            if size == 0 {
                return Ok(Seen { first: first.unwrap_or_else(Instant::now), events });
            }
        }
    }
}

/// Returns the quantile of values, `null` when there is none.
fn quantile(values: &mut [u64], per_mille: usize) -> Option<u64> {
    values.sort_unstable();
    values.get((values.len() * per_mille / 1000).min(values.len().saturating_sub(1))).copied()
}

#[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
fn report(measured: &mut Measured, seconds: f64) -> serde_json::Value {
    serde_json::json!({
        "requests": measured.latency_us.len(),
        "errors": measured.errors,
        "requests_per_s": measured.latency_us.len() as f64 / seconds,
        "events_per_s": measured.events as f64 / seconds,
        "latency_p50_us": quantile(&mut measured.latency_us, 500),
        "latency_p99_us": quantile(&mut measured.latency_us, 990),
        "first_p50_us": quantile(&mut measured.first_us, 500),
        "first_p99_us": quantile(&mut measured.first_us, 990),
    })
}
