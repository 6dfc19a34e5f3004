//! Logs on stderr: lines for people, or JSON.

use std::io::IsTerminal;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One line of text an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// Why logs could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(
        "log = `{filter}`: {reason}; use error, warn, info, debug, trace or a filter like `info,mesh_agentd=debug`"
    )]
    Filter {
        /// The refused filter.
        filter: String,
        /// The parser's words.
        reason: String,
    },
    /// Logs were started before.
    #[error("logs were started twice")]
    Twice,
}

/// Starts logging to stderr. `RUST_LOG` wins over `filter`, which is a level or a list of `module=level`.
///
/// # Errors
/// [`LogError`] when the filter is malformed or logs run already.
pub fn init(filter: &str, format: Format) -> Result<(), LogError> {
    let wanted = std::env::var("RUST_LOG").ok().filter(|it| !it.is_empty()).unwrap_or_else(|| filter.to_owned());
    let filter = EnvFilter::builder()
        .parse(&wanted)
        .map_err(|error| LogError::Filter { filter: wanted.clone(), reason: error.to_string() })?;
    let base = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match format {
        Format::Text => base.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => base.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| LogError::Twice)
}
