//! `mesh top --once` and `--json`: one look, one frame.

use std::time::Duration;

use mesh_core::time::Timestamp;
use mesh_tui::{Options, Picture};
use tokio::time::timeout;

use super::{Mode, feed, mailbox::Mailbox};
use crate::{
    Exit, Failure, Result,
    client::Session,
    cmd::Cx,
    human,
    output::{Format, Output},
};

/// How long the mesh may take to answer everything, unless `--timeout` says otherwise.
const LIMIT: Duration = Duration::from_secs(5);
/// The frame where no terminal has a size: the one the screens are designed for.
const SIZE: (u16, u16) = (120, 40);

/// Prints one frame, or the facts of one.
pub(super) async fn run(
    cx: &Cx,
    session: Option<&Session>,
    options: &Options,
    (mode, format): (Mode, Format),
) -> Result {
    let (mut picture, now) = match (session, options.demo) {
        (Some(session), _) => look(session, options).await?,
        (None, nodes) => mesh_tui::demo::picture(options, nodes.unwrap_or_default()),
    };
    if mode == Mode::Value {
        Output { format, ..cx.out.clone() }.value(&picture.json(now))?;
    } else {
        let (width, height) = size(|name| std::env::var(name).ok());
        cx.out.raw(picture.frame(width, height, now).as_bytes())?;
    }
    Ok(Exit::Done)
}

/// Asks the mesh for everything once.
async fn look(session: &Session, options: &Options) -> Result<(Picture, Timestamp)> {
    let (mailbox, limit) = (Mailbox::default(), session.limit().unwrap_or(LIMIT));
    timeout(limit, feed::look(session, &mailbox)).await.map_err(|_| late(limit))??;
    let mut picture = Picture::new(options);
    while let Some(event) = mailbox.take() {
        picture.feed(event, human::now());
    }
    Ok((picture, human::now()))
}

fn late(limit: Duration) -> Failure {
    Failure::new(Exit::Unreachable, "cannot show the mesh")
        .why(format!("it has not answered everything within {}", human::duration(human::ms(limit))))
        .next("mesh cluster status")
}

/// The size of the terminal, else what COLUMNS and LINES say, else that of the design.
fn size(var: impl Fn(&str) -> Option<String>) -> (u16, u16) {
    if let Ok(it) = rustix::termios::tcgetwinsize(std::io::stdout())
        && it.ws_col > 0
        && it.ws_row > 0
    {
        // The prompt that comes next has a line of its own: the first line of the frame stays in sight.
        return (it.ws_col, it.ws_row.saturating_sub(1).max(1));
    }
    let said = |name: &str, otherwise: u16| {
        var(name).and_then(|it| it.trim().parse().ok()).filter(|it| (1..=1000).contains(it)).unwrap_or(otherwise)
    };
    (said("COLUMNS", SIZE.0), said("LINES", SIZE.1))
}
