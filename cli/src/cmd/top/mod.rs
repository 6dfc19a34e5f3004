//! `mesh top`: opens the session, feeds the dashboard, and carries out what it asks for.

mod actions;
mod blast;
pub(crate) mod convert;
mod events;
mod feed;
mod mailbox;
mod once;

use std::{io::IsTerminal, time::Duration};

use clap::Args;
use mesh_tui::{Caps, ColorChoice, Ended, FeedEvent, Options, Request};
use tokio::sync::mpsc;

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
/// The number of the signal that an interrupt sends.
const SIGINT: i32 = 2;
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
    match (mode, session, args.demo) {
        (Mode::Live, Some(session), _) => live(&session, options).await,
        (Mode::Live, None, nodes) => demo(nodes.unwrap_or_default(), options).await,
        (mode, session, _) => once::run(cx, session.as_ref(), &options, (mode, format)).await,
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
    };
    until_quit(options, rx, requests_tx, background).await
}

/// Shows a simulated fleet.
async fn demo(nodes: u32, options: Options) -> Result {
    let ((tx, rx), (requests_tx, requests)) = (mpsc::channel(FEED_MAX), mpsc::channel(REQUESTS_MAX));
    until_quit(options, rx, requests_tx, mesh_tui::demo::serve(nodes, tx, requests)).await
}

/// Runs the screen, and what feeds it for as long as it is there.
async fn until_quit(
    options: Options,
    feed: mpsc::Receiver<FeedEvent>,
    requests: mpsc::Sender<Request>,
    background: impl Future<Output = ()>,
) -> Result {
    let background = async {
        background.await;
        std::future::pending::<()>().await;
    };
    let ended = tokio::select! {
        ended = Box::pin(mesh_tui::run(options, feed, requests)) => ended,
        () = Box::pin(background) => return Ok(Exit::Done),
    };
    match ended {
        Ok(Ended::Quit) => Ok(Exit::Done),
        Ok(Ended::Signal(SIGINT)) => Ok(Exit::Interrupted),
        Ok(Ended::Signal(_)) => Ok(Exit::Terminated),
        Err(error) => Err(Failure::new(Exit::Failed, "cannot use the terminal").why(error).next("mesh top --once")),
    }
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
