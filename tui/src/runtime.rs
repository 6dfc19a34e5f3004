//! The loop: what happens, what it changes, and when a frame is worth drawing.
//!
//! Tasks and threads: `tui-writer` (see `terminal.rs`), and one task that reads the keyboard into a bounded channel.

use std::{
    io,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use mesh_core::time::Timestamp;
use ratatui::{buffer::Buffer, layout::Rect};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::{
    FeedEvent, Options, Request, encode,
    model::{Level, Model},
    screens,
    terminal::{Terminal, dimensions},
    theme::Theme,
    update::{Dirty, Effect, Msg, update},
};

/// Keys are answered with at most thirty frames a second.
const INPUT_FRAME: Duration = Duration::from_millis(33);
/// Ages go on once a second, also when nothing comes.
const TICK: Duration = Duration::from_secs(1);
/// News that come once a second draw that frame themselves; they may be a little late.
const LATE: Duration = Duration::from_millis(100);
/// News come in bursts: a frame of theirs waits so long for the rest.
const GATHER: Duration = Duration::from_millis(10);
/// A frame that took so long to write means a slow line: data waits longer.
const SLOW: Duration = Duration::from_millis(100);
/// Keys that were pressed and not looked at yet; more are not read from the terminal.
const KEYS: usize = 64;
/// The most that is taken in before a frame is considered.
const BATCH: usize = 1_024;
/// SIGTSTP on every Unix that we run on.
const SIGTSTP: i32 = 20;

/// Why the screen was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The operator quit.
    Quit,
    /// This signal came; the terminal is restored all the same.
    Signal(i32),
}

/// Owns the terminal until the operator quits or a signal comes. A feed that ends leaves the last picture on the
/// screen, and the screen says how old it is.
///
/// # Errors
/// When the terminal cannot be set up, or is gone.
pub async fn run(
    options: Options,
    feed: mpsc::Receiver<FeedEvent>,
    requests: mpsc::Sender<Request>,
) -> io::Result<Ended> {
    let mut signals = Signals::new()?;
    let mut app = App::new(options)?;
    let (keys, mut pressed) = mpsc::channel(KEYS);
    let reader = tokio::spawn(read_keys(keys));
    let ended = app.serve(feed, requests, &mut pressed, &mut signals).await;
    reader.abort();
    app.terminal.leave().await;
    ended
}

async fn read_keys(keys: mpsc::Sender<Event>) {
    let mut events = EventStream::new();
    while let Some(Ok(event)) = events.next().await {
        if keys.send(event).await.is_err() {
            break;
        }
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    stop: Signal,
}

/// What a signal asks for.
enum Asked {
    End(i32),
    Suspend,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            stop: signal(SignalKind::from_raw(SIGTSTP))?,
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.interrupt.recv() => Asked::End(2),
            _ = self.terminate.recv() => Asked::End(15),
            _ = self.hangup.recv() => Asked::End(1),
            _ = self.stop.recv() => Asked::Suspend,
        }
    }
}

struct App {
    model: Model,
    theme: Theme,
    terminal: Terminal,
    shown: Buffer,
    next: Buffer,
    dirty: Dirty,
    /// When the first of the news came that are not drawn yet.
    news: Instant,
    drawn: Instant,
    tick: Instant,
    slow: bool,
}

/// The time of this machine.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl App {
    fn new(options: Options) -> io::Result<Self> {
        let theme = Theme::new(options.caps);
        // Colours are our own decision: the library would drop them after it had written half a sequence.
        crossterm::style::force_color_output(true);
        let now = Instant::now();
        Ok(Self {
            model: Model::new(options),
            theme,
            terminal: Terminal::enter()?,
            shown: Buffer::empty(Rect::ZERO),
            next: Buffer::empty(Rect::ZERO),
            dirty: Dirty::All,
            news: now,
            drawn: now,
            tick: now + TICK,
            slow: false,
        })
    }

    async fn serve(
        &mut self,
        mut feed: mpsc::Receiver<FeedEvent>,
        requests: mpsc::Sender<Request>,
        keys: &mut mpsc::Receiver<Event>,
        signals: &mut Signals,
    ) -> io::Result<Ended> {
        let mut fed = true;
        loop {
            let due = self.due();
            if due.is_some_and(|it| it <= Instant::now()) {
                self.draw()?;
                continue;
            }
            let effect = tokio::select! {
                biased;
                asked = signals.next() => match asked {
                    Asked::End(number) => return Ok(Ended::Signal(number)),
                    Asked::Suspend => Some(Effect::Suspend),
                },
                key = keys.recv() => match key {
                    Some(event) => self.happen(Msg::Input(event)),
                    None => return Err(io::Error::other("the terminal cannot be read any more")),
                },
                error = self.terminal.written(), if self.terminal.is_busy() => match error {
                    None => { self.judge_line(); None }
                    Some(error) => return Err(error),
                },
                event = feed.recv(), if fed => match event {
                    Some(event) => self.take_in(event, &mut feed),
                    None => { fed = false; None }
                },
                () = sleep_until(due.unwrap_or(self.tick).min(self.tick)) => {
                    if Instant::now() >= self.tick {
                        self.tick = Instant::now() + TICK;
                        self.happen(Msg::Tick)
                    } else {
                        None
                    }
                }
            };
            match effect {
                None => {}
                Some(Effect::Quit) => return Ok(Ended::Quit),
                Some(Effect::Suspend) => self.suspend().await?,
                Some(Effect::Ask(request)) => self.ask(request, &requests),
            }
        }
    }

    /// Takes in what waits already, so that a burst costs one frame.
    fn take_in(&mut self, first: FeedEvent, feed: &mut mpsc::Receiver<FeedEvent>) -> Option<Effect> {
        // News of the mesh asks for nothing outside; only keys do.
        let mut effect = self.happen(Msg::Feed(Box::new(first)));
        for _ in 0..BATCH {
            let Ok(event) = feed.try_recv() else { break };
            effect = self.happen(Msg::Feed(Box::new(event))).or(effect);
        }
        self.tick = Instant::now() + TICK + LATE;
        effect
    }

    fn happen(&mut self, msg: Msg) -> Option<Effect> {
        let (dirty, effect) = update(&mut self.model, msg, now());
        if self.dirty == Dirty::No {
            self.news = Instant::now();
        }
        self.dirty = self.dirty.max(dirty);
        effect
    }

    fn ask(&mut self, request: Request, requests: &mpsc::Sender<Request>) {
        if requests.try_send(request).is_err() {
            self.model.overlays.say(Level::Crit, "not sent: nobody takes requests; nothing was changed", now());
            self.dirty = self.dirty.max(Dirty::Input);
        }
    }

    /// When the next frame may be drawn; nothing while one is under way, since frames are differences.
    fn due(&self) -> Option<Instant> {
        if self.terminal.is_busy() {
            return None;
        }
        let pace = if self.slow { self.model.options.interval.max(TICK) } else { self.model.options.interval };
        match self.dirty {
            Dirty::No => None,
            Dirty::Data => Some((self.drawn + pace).max(self.news + GATHER)),
            Dirty::Input => Some(self.drawn + INPUT_FRAME),
            Dirty::All => Some(self.drawn),
        }
    }

    fn judge_line(&mut self) {
        self.slow = self.drawn.elapsed() > SLOW;
    }

    fn draw(&mut self) -> io::Result<()> {
        let (width, height) = dimensions();
        let area = Rect::new(0, 0, width, height);
        let fresh = self.dirty == Dirty::All || self.shown.area != area;
        self.dirty = Dirty::No;
        self.drawn = Instant::now();
        self.next.resize(area);
        self.next.reset();
        let now = now();
        self.model.prepare(now);
        let cursor = screens::draw(&mut self.model, &self.theme, &mut self.next, now);
        if fresh {
            self.shown = Buffer::empty(area);
        }
        let mut bytes = self.terminal.spare();
        encode::frame(&self.shown, &self.next, cursor, fresh, &mut bytes)?;
        self.terminal.send(bytes)?;
        std::mem::swap(&mut self.shown, &mut self.next);
        self.happen(Msg::Drawn);
        Ok(())
    }

    /// Back to the shell until somebody says `fg`.
    async fn suspend(&mut self) -> io::Result<()> {
        self.terminal.leave().await;
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
        self.terminal.take()?;
        self.dirty = Dirty::All;
        Ok(())
    }
}
