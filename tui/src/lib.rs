//! `mesh top`: the whole fleet on one screen, live.
//!
//! Pictures of the mesh come in as [`FeedEvent`]s, wishes of the operator go out as [`Request`]s; this crate opens no
//! connection. [`run`] owns the terminal until the operator quits; [`Picture`] draws one frame without a terminal.
//!
//! ```text
//! feed ──┐
//! keys ──┼─► update (pure) ─► Model ─► prepare (figures, findings, rows) ─► screens ─► cells ─► writer thread
//! clock ─┘        └─► Effect: requests, quit, suspend
//! ```

mod canvas;
mod caps;
mod columns;
pub mod demo;
mod encode;
mod feed;
mod filter;
mod keys;
mod line;
mod model;
mod overlay;
mod picture;
mod report;
mod runtime;
mod screens;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod update;
mod widgets;

use std::time::Duration;

pub use caps::{Caps, ColorChoice, Colors};
pub use feed::{
    Action, BlastRadius, ClusterView, EventRow, FeedEvent, NodeRow, NodesPicture, Request, Severity, TargetsLeft,
    Ticket, VoterView,
};
pub use picture::Picture;
pub use runtime::{Ended, run};

/// What is fixed for the whole run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of the context, shown so that nobody drains the wrong mesh.
    pub context: String,
    /// Who the operator is.
    pub operator: String,
    /// Leaves out every key that changes something.
    pub read_only: bool,
    /// The size of the synthetic fleet; absent = a real mesh.
    pub demo: Option<u32>,
    /// What the terminal can show.
    pub caps: Caps,
    /// The shortest time between two frames that only new data asks for.
    pub interval: Duration,
}

impl Options {
    /// Four frames a second of new data; keys are answered at once.
    pub const INTERVAL: Duration = Duration::from_millis(250);
}
