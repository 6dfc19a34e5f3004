//! The terminal while it is ours: given back on return, on a panic and on signals, and never waited for.
//!
//! One thread (`tui-writer`) writes frames; at most one is under way, so a slow terminal costs frames and not keys.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::{
        Once,
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    time::Duration,
};

use crossterm::{
    cursor::{Hide, Show},
    event::{DisableBracketedPaste, EnableBracketedPaste},
    queue,
    style::{Attribute, SetAttribute},
    terminal::{
        EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
    },
};
use tokio::sync::mpsc;

/// How long a terminal that does not read is waited for when we leave.
const LEAVE: Duration = Duration::from_millis(300);
/// How long a full terminal that does not block is left alone.
const FULL: Duration = Duration::from_millis(5);
/// A frame, and the farewell behind it.
const QUEUE: usize = 2;

/// Whether the terminal is in our hands.
static OURS: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();

/// The terminal and the thread that writes to it.
pub(crate) struct Terminal {
    jobs: SyncSender<Vec<u8>>,
    written: mpsc::Receiver<io::Result<Vec<u8>>>,
    spare: Vec<u8>,
    busy: bool,
}

impl Terminal {
    /// Takes the terminal.
    pub(crate) fn enter() -> io::Result<Self> {
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                restore();
                before(info);
            }));
        });
        let (jobs, todo) = sync_channel::<Vec<u8>>(QUEUE);
        let (done, written) = mpsc::channel(QUEUE + 1);
        std::thread::Builder::new().name("tui-writer".to_owned()).spawn(move || {
            for bytes in todo {
                let result = write(&out, &bytes).map(|()| bytes);
                if done.blocking_send(result).is_err() {
                    break;
                }
            }
        })?;
        let mut it = Self { jobs, written, spare: Vec::new(), busy: false };
        it.take()?;
        Ok(it)
    }

    /// Takes it again after it was given back.
    pub(crate) fn take(&mut self) -> io::Result<()> {
        enable_raw_mode()?;
        OURS.store(true, Ordering::SeqCst);
        let mut bytes = Vec::new();
        queue!(bytes, EnterAlternateScreen, Hide, EnableBracketedPaste)?;
        self.send(bytes)
    }

    /// Gives it back; a terminal that does not read is not waited for long.
    pub(crate) async fn leave(&mut self) {
        if !OURS.swap(false, Ordering::SeqCst) {
            return;
        }
        if self.send(farewell()).is_ok() {
            // The farewell, and a frame that may be under way before it. If it takes longer the terminal is stuck,
            // and then it is the terminal's own mode alone that can be restored.
            let both = async {
                while self.busy {
                    self.written().await;
                }
            };
            drop(tokio::time::timeout(LEAVE, both).await);
        }
        drop(disable_raw_mode());
    }

    /// Whether a frame is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }

    /// A buffer for the next frame.
    pub(crate) fn spare(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    /// Hands bytes to the writer, without waiting.
    pub(crate) fn send(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        self.jobs.try_send(bytes).map_err(|_| io::Error::other("the terminal does not take another frame"))?;
        self.busy = true;
        Ok(())
    }

    /// Waits until the writer has written; an error means that the terminal is gone.
    pub(crate) async fn written(&mut self) -> Option<io::Error> {
        match self.written.recv().await {
            Some(Ok(mut bytes)) => {
                self.busy = false;
                bytes.clear();
                self.spare = bytes;
                None
            }
            Some(Err(error)) => {
                self.busy = false;
                Some(error)
            }
            None => {
                self.busy = false;
                Some(io::Error::other("the writer of the terminal ended"))
            }
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

fn write(mut out: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Somebody who shares the terminal made it non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FULL),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn farewell() -> Vec<u8> {
    let mut bytes = Vec::new();
    // A vector takes every byte.
    drop(queue!(
        bytes,
        EndSynchronizedUpdate,
        SetAttribute(Attribute::Reset),
        DisableBracketedPaste,
        LeaveAlternateScreen,
        Show
    ));
    bytes
}

/// Gives the terminal back at once; for a panic, and when a task is dropped.
fn restore() {
    if OURS.swap(false, Ordering::SeqCst) {
        drop(io::stdout().write_all(&farewell()));
        drop(io::stdout().flush());
        drop(disable_raw_mode());
    }
}

/// The size of the terminal; one that does not know its own is told by the environment.
pub(crate) fn dimensions() -> (u16, u16) {
    const MOST: (u16, u16) = (1_000, 400);
    let variable = |name: &str, other: u16| {
        std::env::var(name).ok().and_then(|it| it.parse().ok()).filter(|it| *it > 0).unwrap_or(other)
    };
    let (width, height) = size().unwrap_or((0, 0));
    let (width, height) =
        if width == 0 || height == 0 { (variable("COLUMNS", 80), variable("LINES", 24)) } else { (width, height) };
    (width.min(MOST.0), height.min(MOST.1))
}
