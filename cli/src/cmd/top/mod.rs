//! `mesh top`: opens the session, feeds the dashboard, and carries out what it asks for.

mod actions;
mod blast;
mod convert;
mod events;
mod feed;
mod mailbox;
mod once;

use std::{io::IsTerminal, time::Duration};

use clap::Args;
use mesh_tui::{Caps, ColorChoice, FeedEvent, Options, Request};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
};

use self::{actions::Hands, feed::Feed, mailbox::Mailbox};
use super::Cx;
use crate::{
    Exit, Failure, Result,
    client::Session,
    human::parse_duration,
    output::{Color, Format},
};

/// Pictures and answers on their way to the screen: what is newer waits in the mailbox, where it replaces what is older.
const FEED_MAX: usize = 8;
/// Requests of the screen on their way here; an operator types slower.
const REQUESTS_MAX: usize = 16;
/// The bounds of `--interval`.
const INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(60);
/// The most nodes of a demonstration.
const DEMO_NODES_MAX: i64 = 20_000;

/// Arguments of `mesh top`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mesh top\n  mesh top --once\n  mesh top --json\n  mesh top --demo 1250\n\nWithout a terminal, and where TERM is dumb, one frame is printed as with --once. Keys are on the screen; `?` lists all.\nColours follow --color, NO_COLOR, COLORTERM and TERM; characters follow LC_ALL, LC_CTYPE and LANG."
)]
pub(crate) struct TopArgs {
    /// Prints one frame once the mesh has answered, and ends
    #[arg(long)]
    once: bool,
    /// Prints what a frame shows as one JSON object, and ends; the same as -o json
    #[arg(long)]
    json: bool,
    /// Shows a simulated fleet of this many nodes; no mesh is asked
    #[arg(long, value_name = "NODES", value_parser = clap::value_parser!(u32).range(1..=DEMO_NODES_MAX))]
    demo: Option<u32>,
    /// Leaves out every key that changes something
    #[arg(long)]
    read_only: bool,
    /// The shortest time between two frames that only new data asks for
    #[arg(long, value_name = "DURATION", value_parser = interval, default_value = "250ms")]
    interval: Duration,
}

fn interval(text: &str) -> std::result::Result<Duration, String> {
    let it = parse_duration(text)?;
    if INTERVALS.contains(&it) { Ok(it) } else { Err(format!("`{text}` is not within 50ms to 60s")) }
}

/// How the dashboard is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// On the terminal, until the operator quits.
    Live,
    /// One frame as text.
    Frame,
    /// One object.
    Value,
}

impl Mode {
    fn of(args: &TopArgs, is_for_people: bool, is_terminal: bool, dumb: bool) -> Self {
        if args.json || !is_for_people {
            Self::Value
        } else if args.once || !is_terminal || dumb {
            Self::Frame
        } else {
            Self::Live
        }
    }
}

pub(crate) async fn run(cx: &Cx, args: TopArgs) -> Result {
    let color = match cx.global.color {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    };
    let mut caps = Caps::detect(color, |name| std::env::var(name).ok());
    let is_terminal = std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let mode = Mode::of(&args, cx.out.is_for_people(), is_terminal, caps.dumb);
    if mode != Mode::Live && !std::io::stdout().is_terminal() && color != ColorChoice::Always {
        caps.colors = mesh_tui::Colors::Mono;
    }
    let session = match args.demo {
        Some(_) => None,
        None => Some(cx.session().await?),
    };
    let options = Options {
        context: session.as_ref().map_or("demo".to_owned(), |it| it.context.mesh.to_string()),
        operator: session.as_ref().map_or("nobody".to_owned(), |it| it.me().name.to_string()),
        read_only: args.read_only,
        demo: args.demo,
        caps,
        interval: args.interval,
    };
    let format = if args.json { Format::Json } else { cx.out.format };
    match (mode, session) {
        (Mode::Live, Some(session)) => live(&session, options).await,
        (Mode::Live, None) => demo(options).await,
        (mode, session) => once::run(cx, session.as_ref(), &options, (mode, format)).await,
    }
}

/// Shows a live mesh until the operator quits.
async fn live(session: &Session, options: Options) -> Result {
    session.hush();
    let feed = Feed::begin(session).await?;
    let (mailbox, (tx, rx)) = (Mailbox::default(), mpsc::channel(FEED_MAX));
    let (requests_tx, requests) = mpsc::channel(REQUESTS_MAX);
    let hands = Hands { session, mailbox: &mailbox };
    let background = async {
        tokio::join!(
            Box::pin(feed.run(&mailbox)),
            Box::pin(hands.run(requests)),
            // Ends when the screen is gone.
            mailbox.deliver(tx),
        );
        std::future::pending::<()>().await;
    };
    until_quit(options, rx, requests_tx, background).await
}

/// Shows a simulated fleet, which the dashboard makes itself.
async fn demo(options: Options) -> Result {
    let ((tx, rx), (requests_tx, mut requests)) = (mpsc::channel(FEED_MAX), mpsc::channel(REQUESTS_MAX));
    let background = async {
        // Whatever is asked of a mesh that is none is refused.
        while let Some(request) = requests.recv().await {
            let no = "this fleet is simulated: nothing can be done to it".to_owned();
            let answer = match request {
                Request::Preview(ticket, _) => FeedEvent::Preview(ticket, Err(no)),
                Request::Do(ticket, ..) => FeedEvent::Done(ticket, Err(no)),
            };
            if tx.send(answer).await.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    until_quit(options, rx, requests_tx, background).await
}

async fn until_quit(
    options: Options,
    feed: mpsc::Receiver<FeedEvent>,
    requests: mpsc::Sender<Request>,
    background: impl Future<Output = ()>,
) -> Result {
    let mut terminated = signal(SignalKind::terminate())?;
    let shown = tokio::select! {
        shown = Box::pin(mesh_tui::run(options, feed, requests)) => shown,
        () = background => Ok(()),
    };
    shown.map_err(|error| Failure::new(Exit::Failed, "cannot use the terminal").why(error).next("mesh top --once"))?;
    // The screen has restored the terminal and ended on it; the exit code tells what it ended on.
    let was_terminated = futures_util::FutureExt::now_or_never(terminated.recv()).is_some();
    Ok(if was_terminated { Exit::Terminated } else { Exit::Done })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_looks_decides_what_is_shown() {
        let args = |once, json| TopArgs { once, json, demo: None, read_only: false, interval: Options::INTERVAL };
        let check = |args: TopArgs, (people, terminal, dumb), expected| {
            assert_eq!(Mode::of(&args, people, terminal, dumb), expected, "{args:?}");
        };
        check(args(false, false), (true, true, false), Mode::Live);
        check(args(false, false), (true, false, false), Mode::Frame);
        check(args(false, false), (true, true, true), Mode::Frame);
        check(args(true, false), (true, true, false), Mode::Frame);
        check(args(true, true), (true, true, false), Mode::Value);
        check(args(false, false), (false, true, false), Mode::Value);
        assert_eq!(interval("1s"), Ok(Duration::from_secs(1)));
        assert!(interval("10ms").is_err() && interval("2m").is_err() && interval("fast").is_err());
    }
}
