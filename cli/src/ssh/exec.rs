//! One script on one channel: started, fed with back-pressure, heard within bounds, ended for sure.

use std::{path::Path, time::Duration};

use age::secrecy::{ExposeSecret, SecretString};
use bytes::{Bytes, BytesMut};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig, client::Msg};
use tokio::{
    io::{AsyncReadExt, AsyncSeekExt},
    sync::{oneshot, watch},
    time::{Instant, timeout_at},
};

use super::{
    frame::{self, Marker, Talk, TooMuch},
    pace::{self, Pace},
};
use crate::host::{Job, Output, Part};

/// How much of a file is read at a time.
const READ_BYTES: usize = 256 * 1024;
/// How long the login shell and sudo may take before the script starts.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a script that has ended may keep its output open; something it left running may hold it for ever.
const LINGER: Duration = Duration::from_secs(2);
/// Longer than any script.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is put between the login shell and the script's shell.
#[derive(Default)]
pub(super) struct Through {
    /// Plain words before `/bin/sh`, with a space at the end; empty for none.
    pub(super) words: String,
    /// The word that asks for a password, and the password.
    pub(super) password: Option<(Marker, SecretString)>,
}

/// Why a script did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    /// The shell that was to run it never said so.
    #[error("its shell did not start: {said}")]
    NotStarted { said: String, status: Option<i32> },
    /// The host runs nothing for this user.
    #[error("the host runs no commands for this user")]
    Refused,
    /// The password was not taken.
    #[error("the password was not taken")]
    WrongPassword,
    /// The channel ended without an exit status.
    #[error("it ended without an exit status")]
    Cut,
    /// It, or the login shell before it, prints without end.
    #[error("it prints too much")]
    TooMuch(TooMuch),
    /// Its input cannot be read here, or it cannot be written down.
    #[error("{0}")]
    Input(String),
}

/// What one script is run with.
pub(super) struct Run<'a> {
    pub(super) job: &'a Job<'a>,
    /// What it is known by, here and among the processes of the host.
    pub(super) marker: Marker,
    pub(super) through: &'a Through,
    /// This login shell is known to leave stdin alone, so nothing is waited for.
    pub(super) quiet: bool,
    pub(super) how: How,
    /// How many bytes may have been sent that the host has not taken yet.
    pub(super) most_under_way: u64,
}

/// What becomes of a script's shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// It runs this script alone, whose stdin ends with its input.
    Alone,
    /// It stays after the script's first line, until its stdin ends.
    Held,
    /// It waits for the next script.
    Kept,
}

/// How far a script is: what the feeding waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Opening,
    Prompted,
    Started,
}

/// One script under way.
pub(super) struct Script {
    line: Line,
    read: ChannelReadHalf,
    talk: Talk,
    body: String,
    /// All of its input was sent.
    fed: bool,
}

impl Script {
    /// Asks the host to start it.
    pub(super) async fn start(channel: Channel<Msg>, run: &Run<'_>) -> Result<Self, Fault> {
        let marker = &run.marker;
        let body = body(run)?;
        let talk = Talk::new(marker, run.through.password.as_ref().map(|(prompt, _)| prompt));
        let (command, talk) = if run.how == How::Kept {
            (frame::serving(marker, &run.through.words), talk.serving())
        } else {
            (frame::command(marker, body.len(), &run.through.words), talk)
        };
        let (read, write) = channel.split();
        let line = Line { write: Some(write), kill: true };
        line.get()?.exec(true, command).await.map_err(|_| Fault::Cut)?;
        Ok(Self { line, read, talk, body, fed: false })
    }

    /// Prepares the next script for a shell that waits for it.
    pub(super) fn next(&mut self, run: &Run<'_>) -> Result<(), Fault> {
        self.body = body(run)?;
        self.talk.next();
        (self.fed, self.line.kill) = (false, true);
        Ok(())
    }

    /// Feeds and hears it until it has ended, or has printed its first line when its stdin stays open.
    pub(super) async fn go(&mut self, run: &Run<'_>) -> Result<(), Fault> {
        let Self { line, read, talk, body, fed } = self;
        let stage = watch::Sender::new(if talk.started() { Stage::Started } else { Stage::Opening });
        let pace = Pace::new(run.most_under_way);
        let feeding = feed(line.get()?, run, body, (stage.subscribe(), &pace));
        let hearing = hear(read, talk, (&stage, &pace), run.how);
        tokio::pin!(feeding, hearing);
        loop {
            tokio::select! {
                // Who has sent all is known to have before the script is heard to have ended.
                biased;
                result = &mut feeding, if !*fed => {
                    result?;
                    *fed = true;
                }
                result = &mut hearing => return result,
            }
        }
    }

    /// What it said to its end.
    pub(super) fn end(mut self) -> Result<Talk, Fault> {
        if self.talk.status.is_none() {
            return Err(Fault::Cut);
        }
        self.line.kill = false;
        Ok(std::mem::replace(&mut self.talk, Talk::new(&Marker::random(), None)))
    }

    /// What it said to its end; whether its shell is fit for the next script.
    pub(super) fn answer(&mut self) -> Result<(Output, bool), Fault> {
        let status = self.talk.status.ok_or(Fault::Cut)?;
        let is_fit = self.talk.answered() && self.fed && status == 0;
        self.line.kill = !is_fit;
        let (stdout, stderr) = self.talk.take();
        Ok((Output { status, stdout, stderr }, is_fit))
    }

    /// Waits to be called for the next script; what the last one has left running may still print, and nobody hears it.
    pub(super) async fn idle(mut self, mut called: oneshot::Receiver<oneshot::Sender<Self>>) {
        loop {
            tokio::select! {
                biased;
                caller = &mut called => {
                    if let Ok(caller) = caller {
                        // One that has gone meanwhile does not need it.
                        drop(caller.send(self));
                    }
                    return;
                }
                message = self.read.wait() => if matches!(message, None | Some(ChannelMsg::Close)) { return },
            }
        }
    }

    /// The first line it printed, and its exit status when it has ended.
    pub(super) fn heard(&self) -> (String, Option<i32>) {
        let line = self.talk.stdout().split(|it| *it == b'\n').next().unwrap_or_default();
        (String::from_utf8_lossy(line).trim_end().to_owned(), self.talk.status)
    }

    /// Stays until the channel ends, so that nothing piles up; when this is dropped, its stdin ends.
    pub(super) async fn stay(mut self) {
        self.line.kill = false;
        while self.read.wait().await.is_some() {}
    }
}

/// The writing half of a channel that is closed whenever it is let go: nothing goes on unheard on the host.
struct Line {
    write: Option<ChannelWriteHalf<Msg>>,
    /// Whether the script is to be stopped, not only left without stdin.
    kill: bool,
}

impl Line {
    fn get(&self) -> Result<&ChannelWriteHalf<Msg>, Fault> {
        self.write.as_ref().ok_or(Fault::Cut)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let (Some(write), Ok(runtime)) = (self.write.take(), tokio::runtime::Handle::try_current()) else { return };
        let kill = self.kill;
        runtime.spawn(async move {
            // All of these fail when the channel or the connection is gone already, and then nothing is left to do.
            if kill {
                let _ = write.signal(Sig::TERM).await;
            }
            let _ = write.eof().await;
            let _ = write.close().await;
        });
    }
}

/// Sends the password when it is asked for, the script when its shell is there, then the input.
///
/// Sending too early would hand the script to whoever else reads stdin: a start-up file, or sudo as a second password.
async fn feed(
    write: &ChannelWriteHalf<Msg>,
    run: &Run<'_>,
    body: &str,
    (mut stage, pace): (watch::Receiver<Stage>, &Pace),
) -> Result<(), Fault> {
    if let Some((_, password)) = &run.through.password
        && *reach(&mut stage, Stage::Prompted).await? == Stage::Prompted
    {
        let line = Bytes::from(format!("{}\n", password.expose_secret()));
        write.data_bytes(line).await.map_err(|_| Fault::Cut)?;
    }
    if !run.quiet || run.through.password.is_some() {
        reach(&mut stage, Stage::Started).await?;
    }
    let sent = async {
        write.data_bytes(body.as_bytes().to_vec()).await.map_err(|_| None)?;
        pace.sent(body.len());
        let mut total = 0;
        for part in &run.job.input {
            send_part(write, part, (run.job, pace), &mut total).await?;
        }
        if run.how == How::Alone { write.eof().await.map_err(|_| None) } else { Ok(()) }
    };
    match sent.await {
        // A connection that is gone is found out by who hears, who knows whether the script had ended before.
        Ok(()) | Err(None) => Ok(()),
        Err(Some(fault)) => Err(fault),
    }
}

/// The script as its shell takes it.
fn body(run: &Run<'_>) -> Result<String, Fault> {
    let body = if run.how == How::Kept { frame::request } else { frame::body };
    body(run.job, &run.marker).map_err(|error| Fault::Input(error.to_string()))
}

async fn reach(stage: &mut watch::Receiver<Stage>, wanted: Stage) -> Result<watch::Ref<'_, Stage>, Fault> {
    stage.wait_for(|it| *it >= wanted).await.map_err(|_| Fault::Cut)
}

async fn send_part(
    write: &ChannelWriteHalf<Msg>,
    part: &Part<'_>,
    (job, pace): (&Job<'_>, &Pace),
    total: &mut u64,
) -> Result<(), Option<Fault>> {
    let mut tell = |bytes: usize| {
        pace.sent(bytes);
        *total += bytes as u64;
        if let Some(sent) = job.sent {
            sent(*total);
        }
    };
    match part {
        Part::Bytes(bytes) => {
            write.data_bytes(bytes.to_vec()).await.map_err(|_| None)?;
            tell(bytes.len());
        }
        Part::File(path, offset) => {
            let unread = |error| Some(unreadable(path, &error));
            let mut file = tokio::fs::File::open(path).await.map_err(unread)?;
            file.seek(std::io::SeekFrom::Start(*offset)).await.map_err(unread)?;
            file.set_max_buf_size(READ_BYTES);
            // The end of the file is known before its last bytes are sent: a script that has them may end at once.
            let mut piece = read_piece(&mut file).await.map_err(unread)?;
            while !piece.is_empty() {
                let next = read_piece(&mut file).await.map_err(unread)?;
                let mut rest = std::mem::replace(&mut piece, next);
                while !rest.is_empty() {
                    let piece = rest.split_to(rest.len().min(pace::PIECE_BYTES));
                    pace.turn().await;
                    let bytes = piece.len();
                    write.data_bytes(piece).await.map_err(|_| None)?;
                    tell(bytes);
                }
            }
        }
    }
    Ok(())
}

/// The next bytes of a file; none at its end.
async fn read_piece(file: &mut tokio::fs::File) -> std::io::Result<Bytes> {
    let mut piece = BytesMut::with_capacity(READ_BYTES);
    file.read_buf(&mut piece).await?;
    Ok(piece.freeze())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::Input(format!("cannot read {}: {error}", path.display()))
}

/// Hears until the end, or until the first line when the script is to stay.
async fn hear(
    read: &mut ChannelReadHalf,
    talk: &mut Talk,
    (stage, pace): (&watch::Sender<Stage>, &Pace),
    how: How,
) -> Result<(), Fault> {
    let start_by = Instant::now() + START_LIMIT;
    let mut eof = false;
    loop {
        let until = match (talk.started(), talk.status) {
            (false, _) => start_by,
            (true, None) => Instant::now() + DAY,
            (true, Some(_)) => Instant::now() + LINGER,
        };
        match timeout_at(until, read.wait()).await {
            Err(_) if talk.started() => return Ok(()),
            Err(_) => return Err(Fault::NotStarted { said: talk.junk(), status: None }),
            Ok(None | Some(ChannelMsg::Close)) => return ended(talk),
            Ok(Some(ChannelMsg::Failure)) => return Err(Fault::Refused),
            Ok(Some(ChannelMsg::Eof)) => eof = true,
            Ok(Some(ChannelMsg::WindowAdjusted { new_size })) => pace.offered(new_size),
            Ok(Some(message)) => take(talk, message)?,
        }
        if talk.prompts > 1 {
            return Err(Fault::WrongPassword);
        }
        let reached = match (talk.started(), talk.prompts) {
            (true, _) => Stage::Started,
            (false, 0) => Stage::Opening,
            (false, _) => Stage::Prompted,
        };
        stage.send_if_modified(|it| std::mem::replace(it, reached) != reached);
        let is_over = match how {
            How::Alone => false,
            How::Held => talk.stdout().contains(&b'\n'),
            How::Kept => talk.answered(),
        };
        if is_over || (eof && talk.status.is_some()) {
            return ended(talk);
        }
    }
}

fn ended(talk: &Talk) -> Result<(), Fault> {
    match (talk.started(), talk.status) {
        (true, _) => Ok(()),
        (false, None) => Err(Fault::Cut),
        (false, status) => Err(Fault::NotStarted { said: talk.junk(), status }),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what else a channel may say does not concern a script")]
fn take(talk: &mut Talk, message: ChannelMsg) -> Result<(), Fault> {
    match message {
        ChannelMsg::Data { data } => talk.out(&data).map_err(Fault::TooMuch),
        ChannelMsg::ExtendedData { data, ext: 1 } => talk.err(&data).map_err(Fault::TooMuch),
        ChannelMsg::ExitStatus { exit_status } => {
            talk.status = Some(i32::try_from(exit_status).unwrap_or(i32::MAX));
            Ok(())
        }
        ChannelMsg::ExitSignal { signal_name, .. } => {
            talk.status = Some(128 + frame::signal_number(&signal_name));
            Ok(())
        }
        _ => Ok(()),
    }
}
