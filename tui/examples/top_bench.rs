//! Measures frames of a synthetic fleet: time, allocations and bytes of every screen, and a plain table as the peer.
//!
//! `top_bench [--nodes 10000] [--frames 200]` prints one JSON object. The peer is the table of the drawing library over
//! the same rows in the same run, so that the numbers can be read as ratios.
#![allow(unsafe_code, reason = "an allocator is unsafe by its trait; this one only counts")]
#![expect(clippy::print_stdout, reason = "its job is to print the result")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use mesh_core::time::Timestamp;
use mesh_tui::{Caps, Colors, FeedEvent, NodeRow, Options, Picture, demo::Demo};
use ratatui::{
    buffer::Buffer,
    layout::{Constraint, Rect},
    widgets::{Cell, Row, Table, Widget},
};
use serde_json::{Value, json};

struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const SCREENS: [&str; Picture::SCREENS] = ["overview", "nodes", "gpus", "routing", "events"];
const SIZES: [(u16, u16); 2] = [(120, 40), (200, 60)];
const START: Timestamp = Timestamp(1_767_225_600_000);
/// The peer is slow: a few of its frames are enough.
const PEER_FRAMES: usize = 5;

fn option(name: &str, default: u32) -> u32 {
    let mut args = std::env::args().skip_while(|arg| arg != name);
    args.next().and_then(|_| args.next()).and_then(|it| it.parse().ok()).unwrap_or(default)
}

fn main() -> io::Result<()> {
    let (nodes, frames) = (option("--nodes", 10_000), option("--frames", 200) as usize);
    let options = Options {
        context: "demo".to_owned(),
        operator: "bench".to_owned(),
        read_only: false,
        demo: Some(nodes),
        caps: Caps { colors: Colors::True, utf8: true, dumb: false },
        interval: Options::INTERVAL,
    };
    let now = START.plus_ms(90_000);
    let events: Vec<FeedEvent> = Demo::new(nodes, START).first(now).collect();
    let mut picture = Picture::new(&options);
    let started = Instant::now();
    for event in &events {
        picture.feed(event.clone(), now);
    }
    // The clone is the feed's work, and it is measured alone so that it can be taken off.
    let with_clone = started.elapsed();
    let started = Instant::now();
    let copies = events.clone();
    let update = with_clone.saturating_sub(started.elapsed());
    let started = Instant::now();
    let mut out = Vec::new();
    picture.sketch(0, SIZES[0], now, &mut out)?;
    let first_frame = started.elapsed();
    drop(copies);
    let mut screens = Vec::new();
    let mut at = now;
    for size in SIZES {
        for (screen, name) in SCREENS.iter().enumerate() {
            // Each screen begins later than the one before ended: time only goes on.
            at = at.plus_ms(60_000);
            screens.push(screen_of(&mut picture, (screen, name), size, (at, frames))?);
        }
    }
    let rows: Vec<&NodeRow> = rows_of(&events);
    let peers: Vec<Value> = SIZES.iter().map(|size| peer(&rows, *size)).collect();
    let result = json!({
        "nodes": nodes,
        "gpus": rows.iter().map(|it| gpus(it)).sum::<usize>(),
        "frames": frames,
        "update_full_picture_ms": millis(update),
        "first_frame_ms": millis(first_frame),
        "screens": screens,
        "peer_library_table": peers,
        "rss_kib": rss_kib(),
    });
    println!("{result}");
    Ok(())
}

fn millis(it: Duration) -> f64 {
    (it.as_secs_f64() * 1e6).round() / 1e3
}

fn rows_of(events: &[FeedEvent]) -> Vec<&NodeRow> {
    let pictures = events.iter().filter_map(|it| if let FeedEvent::Nodes(picture) = it { Some(picture) } else { None });
    pictures.flat_map(|it| &it.rows).collect()
}

fn gpus(row: &NodeRow) -> usize {
    let status = row.view.status.as_ref();
    status.map_or(0, |it| if let mesh_core::status::Probe::Read(list) = &it.gpus { list.len() } else { 0 })
}

/// Minimum, median and 99th percentile in milliseconds: the minimum is what it takes on a machine that does nothing else.
fn spread(mut times: Vec<Duration>) -> (f64, f64, f64) {
    times.sort();
    let at = |percent: usize| times.get(times.len() * percent / 100).or(times.last()).copied().unwrap_or_default();
    (millis(at(0)), millis(at(50)), millis(at(99)))
}

/// Frames a second apart, so that ages move as they do live.
fn screen_of(
    picture: &mut Picture,
    (screen, name): (usize, &str),
    size: (u16, u16),
    (now, frames): (Timestamp, usize),
) -> io::Result<Value> {
    let mut out = Vec::new();
    picture.sketch(screen, size, now, &mut out)?;
    let first_bytes = out.len();
    let (mut times, mut bytes, mut count) = (Vec::new(), 0, 0);
    for frame in 0..frames {
        out.clear();
        // Within one second nothing is computed anew: this is the drawing alone, as for a key.
        let at = now.plus_ms(u64::try_from(frame % 100).unwrap_or(0) * 9);
        let (before, started) = (COUNT.load(Ordering::Relaxed), Instant::now());
        picture.sketch(screen, size, at, &mut out)?;
        times.push(started.elapsed());
        count += COUNT.load(Ordering::Relaxed) - before;
        bytes += out.len();
    }
    let (min, p50, p99) = spread(times);
    // Every second figures, findings and rows are computed too.
    let mut times = Vec::new();
    for second in 1..=20 {
        out.clear();
        let started = Instant::now();
        picture.sketch(screen, size, now.plus_ms(second * 1_000), &mut out)?;
        times.push(started.elapsed());
    }
    let (min_figures, with_figures, _) = spread(times);
    let frames = u64::try_from(frames.max(1)).unwrap_or(1);
    Ok(json!({
        "screen": name,
        "size": format!("{}x{}", size.0, size.1),
        "min_ms": min,
        "p50_ms": p50,
        "p99_ms": p99,
        "min_with_figures_ms": min_figures,
        "p50_with_figures_ms": with_figures,
        "allocations_per_frame": count / frames,
        "first_frame_bytes": first_bytes,
        "bytes_per_frame": u64::try_from(bytes).unwrap_or(0) / frames,
    }))
}

/// The same nodes in the library's own table: every row is built for every frame.
fn peer(rows: &[&NodeRow], (width, height): (u16, u16)) -> Value {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    let (mut times, mut count) = (Vec::new(), 0);
    for _ in 0..PEER_FRAMES {
        let (before, started) = (COUNT.load(Ordering::Relaxed), Instant::now());
        let cells = rows.iter().map(|it| {
            let (zone, phase) = (it.spec.zone.clone().unwrap_or_default(), it.view.phase.to_string());
            let age = it.view.age_ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms"));
            Row::new([it.view.node.to_string(), zone, phase, gpus(it).to_string(), age].map(Cell::from))
        });
        let widths = [
            Constraint::Min(12),
            Constraint::Length(8),
            Constraint::Length(9),
            Constraint::Length(4),
            Constraint::Length(9),
        ];
        Table::new(cells, widths).render(area, &mut buffer);
        times.push(started.elapsed());
        count += COUNT.load(Ordering::Relaxed) - before;
    }
    let (min, p50, p99) = spread(times);
    json!({
        "size": format!("{width}x{height}"),
        "min_ms": min,
        "p50_ms": p50,
        "p99_ms": p99,
        "allocations_per_frame": count / PEER_FRAMES as u64,
    })
}

/// Memory of this process as the kernel counts it; absent = the kernel does not say.
fn rss_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|it| it.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
