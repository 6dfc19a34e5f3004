//! The loop: what happens, what it changes, and when a frame is worth drawing.

use std::io;

use tokio::sync::mpsc;

use crate::{FeedEvent, Options, Request};

/// Owns the terminal until the operator quits or the feed ends.
///
/// # Errors
/// When the terminal cannot be set up or written.
pub async fn run(
    options: Options,
    mut feed: mpsc::Receiver<FeedEvent>,
    requests: mpsc::Sender<Request>,
) -> io::Result<()> {
    drop((options, requests));
    while feed.recv().await.is_some() {}
    Ok(())
}
