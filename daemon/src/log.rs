//! Logs on stderr: lines for people, or JSON; lines without a time where the journal reads them, which has its own.

use std::{fmt, io::IsTerminal};

use serde::Deserialize;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format as Lines, Full, Writer},
    },
    registry::LookupSpan,
};

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
        Format::Text if is_journal() => base.with_ansi(false).event_format(Journal::default()).try_init(),
        Format::Text => base.with_ansi(std::io::stderr().is_terminal()).try_init(),
        Format::Json => base.json().flatten_event(true).try_init(),
    };
    started.map_err(|_| LogError::Twice)
}

/// Whether stderr is the stream that systemd has opened to the journal, and not what somebody has put in its place.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|it| stream == format!("{}:{}", it.st_dev, it.st_ino))
}

/// Lines for the journal: without a time, and with a `<N>` before them by which it knows the level.
struct Journal(Lines<Full, ()>);

impl Default for Journal {
    fn default() -> Self {
        Self(Lines::default().without_time().with_ansi(false))
    }
}

impl<S, N> FormatEvent<S, N> for Journal
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let priority = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 6,
            _ => 7,
        };
        write!(writer, "<{priority}>")?;
        self.0.format_event(cx, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex, PoisonError},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_journal_is_told_levels_and_no_times() {
        let lines = Written::default();
        let writer = lines.clone();
        let base = tracing_subscriber::fmt().with_max_level(Level::TRACE).with_writer(move || writer.clone());
        tracing::subscriber::with_default(base.with_ansi(false).event_format(Journal::default()).finish(), || {
            tracing::error!(disk = "full", "cannot write");
            tracing::warn!("late");
            tracing::info!("up");
            tracing::debug!("more");
            tracing::trace!("most");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let target = module_path!();
        let expected = format!(
            "<3>ERROR {target}: cannot write disk=\"full\"\n<4> WARN {target}: late\n<6> INFO {target}: up\n\
             <7>DEBUG {target}: more\n<7>TRACE {target}: most\n"
        );
        assert_eq!(text, expected);
    }
}
