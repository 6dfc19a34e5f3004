//! How a script gets past a login shell: a start that every shell understands, and a marker before its own output.
//!
//! The login shell is given one short word list without a quote, backslash, newline or `!` inside its quotes, so that
//! sh, bash, zsh, fish and csh read the same. It starts `/bin/sh`, which prints a random marker on both outputs, reads
//! the script from stdin by its exact length, checks that all of it came, and evaluates it; the rest of stdin is the
//! script's own. Whatever start-up files print comes before the marker and is dropped.

use russh::Sig;

use crate::host::{Job, STDERR_KEPT, STDOUT_MAX};

/// The most a login shell may print before the script starts.
pub(super) const JUNK_MAX: usize = 256 * 1024;
/// The longest status, with what stands around it.
const STATUS_LINE_MAX: usize = 16;
/// The exit status of a start that did not get the whole script.
pub(super) const CUT_SHORT: i32 = 76;

/// A word nobody else prints: 96 random bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marker(String);

impl Marker {
    pub(super) fn random() -> Self {
        Self(format!("mesh{:08x}{:016x}", rand::random::<u32>(), rand::random::<u64>()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The script with its arguments, as it is sent: the marker at its end says that nothing is missing.
pub(super) fn body(job: &Job<'_>, marker: &Marker) -> Result<String, shlex::QuoteError> {
    let args = shlex::try_join(job.args.iter().map(AsRef::as_ref))?;
    Ok(format!("set -- {args}\n{}\n#{}", job.script, marker.0))
}

/// A script as a shell that was started by [`serving`] takes it: the marker, its length, whether it has input, itself.
pub(super) fn request(job: &Job<'_>, marker: &Marker) -> Result<String, shlex::QuoteError> {
    let body = body(job, marker)?;
    let input = if job.input.is_empty() { "none" } else { "some" };
    Ok(format!("{} {} {input}\n{body}", marker.0, body.len()))
}

/// A shell that runs script after script, each in a shell of its own, until its stdin ends or holds something else.
///
/// After each it prints the marker with the status on stdout and the marker on stderr. A script without input gets none;
/// one with input must read all of it, and no more.
pub(super) fn serving(marker: &Marker, through: &str) -> String {
    let m = &marker.0;
    format!(
        "exec {through}/bin/sh -c 'echo {m}; echo {m} >&2; \
         while read -r mesh_key mesh_bytes mesh_input; do \
         [ \"$mesh_key\" = {m} ] || exit {CUT_SHORT}; {READ}; \
         case \"$mesh_script\" in *{m}) ;; *) exit {CUT_SHORT};; esac; \
         case $mesh_input in none) (eval \"$mesh_script\") </dev/null;; *) (eval \"$mesh_script\");; esac; \
         mesh_status=$?; echo; echo {m} $mesh_status; echo {m} >&2; done'"
    )
}

/// Reads a script of `$mesh_bytes` from stdin.
///
/// Not every dd knows fullblock, and one without it reads nothing; byte by byte is slow, but right everywhere. What was
/// found out is told the script, which may have data to read itself.
const READ: &str = "mesh_dd=fullblock; \
     mesh_script=$(dd bs=$mesh_bytes count=1 iflag=fullblock status=none 2>/dev/null) || \
     { mesh_dd=; mesh_script=$(dd bs=1 count=$mesh_bytes 2>/dev/null); }";

/// What the login shell is asked to run; `through` is put before `/bin/sh` and must be made of plain words.
pub(super) fn command(marker: &Marker, body_bytes: usize, through: &str) -> String {
    let m = &marker.0;
    format!(
        "exec {through}/bin/sh -c 'echo {m}; echo {m} >&2; \
         mesh_bytes={body_bytes}; {READ}; \
         case \"$mesh_script\" in *{m}) eval \"$mesh_script\";; *) exit {CUT_SHORT};; esac'"
    )
}

/// What has been heard of a script so far.
pub(super) struct Talk {
    marker: Vec<u8>,
    prompt: Option<Vec<u8>>,
    started: bool,
    marked: bool,
    junk_bytes: usize,
    junk: Vec<u8>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    /// How often the password was asked for.
    pub(super) prompts: u32,
    /// The exit status; 128 + N for a signal.
    pub(super) status: Option<i32>,
    /// The ends of a script's two outputs, as a shell marks them that runs one after another.
    serving: bool,
    end: Ends,
}

/// Which of the two outputs have come to the end of a script.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Ends {
    out: bool,
    err: bool,
}

/// Why a script is not listened to any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooMuch {
    /// The login shell prints and prints.
    Junk,
    /// The script does.
    Stdout,
}

impl Talk {
    pub(super) fn new(marker: &Marker, prompt: Option<&Marker>) -> Self {
        Self {
            marker: format!("{}\n", marker.0).into_bytes(),
            prompt: prompt.map(|it| it.0.clone().into_bytes()),
            started: false,
            marked: false,
            junk_bytes: 0,
            junk: Vec::new(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            prompts: 0,
            status: None,
            serving: false,
            end: Ends::default(),
        }
    }

    /// With a shell that runs script after script.
    pub(super) fn serving(self) -> Self {
        Self { serving: true, ..self }
    }

    /// Forgets what one script said: the next one begins.
    pub(super) fn next(&mut self) {
        self.stdout.clear();
        self.stderr.clear();
        (self.status, self.end) = (None, Ends::default());
    }

    /// Whether a script has ended and its shell waits for the next.
    pub(super) fn answered(&self) -> bool {
        self.end == Ends { out: true, err: true }
    }

    /// Takes the line with the status from the end of stdout; `from` is where it may begin.
    fn take_status(&mut self, from: usize) {
        let from = from.saturating_sub(self.marker.len() + STATUS_LINE_MAX);
        let mark = self.marker.strip_suffix(b"\n").unwrap_or(&self.marker);
        let Some(at) = find(&self.stdout[from..], &[b"\n", mark, b" "].concat()) else { return };
        let line = &self.stdout[from + at + mark.len() + 2..];
        let Some(length) = line.iter().position(|it| *it == b'\n') else { return };
        self.status = std::str::from_utf8(&line[..length]).ok().and_then(|it| it.parse().ok()).or(Some(CUT_SHORT));
        self.stdout.truncate(from + at);
        self.end.out = true;
    }

    /// Whether the script's shell has announced itself.
    pub(super) fn started(&self) -> bool {
        self.started
    }

    /// What the script printed so far.
    pub(super) fn stdout(&self) -> &[u8] {
        &self.stdout
    }

    /// Takes what arrived on stdout.
    pub(super) fn out(&mut self, data: &[u8]) -> Result<(), TooMuch> {
        let before = self.stdout.len();
        if self.started {
            self.stdout.extend_from_slice(data);
        } else {
            self.junk_bytes += data.len();
            self.junk.extend_from_slice(data);
            if let Some(at) = find(&self.junk, &self.marker) {
                self.started = true;
                self.stdout = self.junk.split_off(at + self.marker.len());
                self.junk.truncate(at);
            } else if self.junk_bytes > JUNK_MAX {
                return Err(TooMuch::Junk);
            }
        }
        // A script that was sent ahead may have ended before its shell's first word is heard.
        if self.started && self.serving && !self.end.out {
            self.take_status(before);
        }
        if self.stdout.len() > STDOUT_MAX { Err(TooMuch::Stdout) } else { Ok(()) }
    }

    /// Takes what arrived on stderr.
    pub(super) fn err(&mut self, data: &[u8]) -> Result<(), TooMuch> {
        self.stderr.extend_from_slice(data);
        if !self.marked {
            self.take_prompts();
            self.junk_bytes += data.len();
            if let Some(at) = find(&self.stderr, &self.marker) {
                self.marked = true;
                self.stderr.drain(..at + self.marker.len());
            } else if self.junk_bytes > JUNK_MAX && !self.started {
                return Err(TooMuch::Junk);
            }
        }
        if self.serving
            && self.marked
            && let Some(at) = find(&self.stderr, &self.marker)
        {
            self.stderr.truncate(at);
            self.end.err = true;
        }
        let over = self.stderr.len().saturating_sub(STDERR_KEPT);
        self.stderr.drain(..over);
        Ok(())
    }

    fn take_prompts(&mut self) {
        while let Some(prompt) = &self.prompt
            && let Some(at) = find(&self.stderr, prompt)
        {
            self.prompts += 1;
            self.stderr.drain(at..at + prompt.len());
        }
    }

    /// Stdout and the end of stderr of a script that started.
    pub(super) fn said(self) -> (Vec<u8>, String) {
        (self.stdout, String::from_utf8_lossy(&self.stderr).into_owned())
    }

    /// The same of one script of many.
    pub(super) fn take(&mut self) -> (Vec<u8>, String) {
        let (stdout, stderr) = (std::mem::take(&mut self.stdout), std::mem::take(&mut self.stderr));
        (stdout, String::from_utf8_lossy(&stderr).into_owned())
    }

    /// What was printed instead of the marker: a few printable lines, for an error.
    pub(super) fn junk(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.junk).into_owned();
        text.push('\n');
        text.push_str(&String::from_utf8_lossy(&self.stderr));
        printable(&text)
    }
}

/// The last lines of a text from outside, without control characters, short enough for an error.
pub(super) fn printable(text: &str) -> String {
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|it| !it.is_control()).take(200).collect::<String>().trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(4)..].join("; ")
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|it| it == wanted)
}

/// The number of a signal on Linux.
pub(super) fn signal_number(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        // Of those without a name of their own, these are common.
        Sig::Custom(name) => match name.as_str() {
            "TRAP" => 5,
            "BUS" => 7,
            "USR2" => 12,
            "SYS" => 31,
            _ => 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };

    use super::*;

    fn marker() -> Marker {
        Marker("mesh0123".to_owned())
    }

    #[test]
    fn only_what_follows_the_marker_is_the_scripts() {
        let check = |parts: &[&str], started: bool, stdout: &str| {
            let mut talk = Talk::new(&marker(), None);
            for part in parts {
                talk.out(part.as_bytes()).unwrap();
            }
            assert_eq!((talk.started(), talk.stdout()), (started, stdout.as_bytes()), "{parts:?}");
        };
        check(&["mesh0123\nhello"], true, "hello");
        check(&["welcome\nmesh0123\n"], true, "");
        check(&["no newline mesh01", "23\nhel", "lo\n"], true, "hello\n");
        // A shell that echoes its command line says the marker too, but never as a line's end.
        check(&["+ exec /bin/sh -c 'echo mesh0123; echo mesh0123 >&2'\n"], false, "");
        check(&["mesh0123\nmesh0123\n"], true, "mesh0123\n");
    }

    /// The host decides what comes in one message: all that a quick script and its shell say, or a byte.
    #[test]
    fn a_kept_shell_is_understood_however_its_words_are_cut() {
        let out = b"motd\nmesh0123\nsaid\n\nmesh0123 7\n";
        let err = b"lecture\nmesh0123\nwarned\nmesh0123\n";
        let check = |cuts: &[usize]| {
            let mut talk = Talk::new(&marker(), None).serving();
            for (words, mut from) in [(out.as_slice(), 0), (err.as_slice(), 0)] {
                for cut in cuts.iter().copied().chain([words.len()]).map(|it| it.min(words.len())) {
                    let heard = if words == out { talk.out(&words[from..cut]) } else { talk.err(&words[from..cut]) };
                    heard.unwrap();
                    from = cut;
                }
            }
            assert_eq!((talk.answered(), talk.status), (true, Some(7)), "{cuts:?}");
            assert_eq!(talk.take(), (b"said\n".to_vec(), "warned\n".to_owned()), "{cuts:?}");
        };
        check(&[]);
        check(&(1..out.len()).collect::<Vec<_>>());
        for first in 1..out.len() {
            check(&[first]);
            (first..out.len()).for_each(|second| check(&[first, second]));
        }
    }

    #[test]
    fn too_much_is_too_much() {
        let mut talk = Talk::new(&marker(), None);
        let line = vec![b'y'; 64 * 1024];
        let heard = (0..10).find_map(|_| talk.out(&line).err());
        assert_eq!(heard, Some(TooMuch::Junk));
        let mut talk = Talk::new(&marker(), None);
        talk.out(b"mesh0123\n").unwrap();
        let heard = (0..200).find_map(|_| talk.out(&line).err());
        assert_eq!(heard, Some(TooMuch::Stdout));
        let mut talk = Talk::new(&marker(), None);
        talk.out(b"mesh0123\n").unwrap();
        talk.err(b"noise\nmesh0123\n").unwrap();
        for _ in 0..10 {
            talk.err(&line).unwrap();
        }
        talk.err(b"the end").unwrap();
        let (_, stderr) = talk.said();
        assert_eq!((stderr.len(), stderr.ends_with("the end")), (STDERR_KEPT, true));
    }

    #[test]
    fn prompts_are_counted_and_taken_out() {
        let mut talk = Talk::new(&marker(), Some(&Marker("ask77".to_owned())));
        talk.err(b"lecture\nas").unwrap();
        assert_eq!(talk.prompts, 0);
        talk.err(b"k77").unwrap();
        assert_eq!(talk.prompts, 1);
        talk.err(b"Sorry, try again.\nask77").unwrap();
        assert_eq!((talk.prompts, talk.junk().as_str()), (2, "lecture; Sorry, try again."));
    }

    /// The start is given to every login shell of this machine, as sshd would.
    #[test]
    fn every_shell_starts_the_script() {
        let args = ["it's", "two  words", "\\n!", "$HOME `x`", ""];
        let mut job = Job::new("x", r#"printf "%s|" "$@"; cat; exit 3"#);
        job.args = args.iter().map(|it| (*it).into()).collect();
        let body = body(&job, &marker()).unwrap();
        for shell in ["sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh"] {
            let spawned = Command::new(shell)
                .args(["-c", &command(&marker(), body.len(), "")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn();
            let Ok(mut child) = spawned else { continue };
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(body.as_bytes()).unwrap();
            stdin.write_all(b"payload").unwrap();
            drop(stdin);
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert_eq!(text, format!("mesh0123\n{}|payload", args.join("|")), "{shell}");
            assert_eq!(
                (output.status.code(), output.stderr.as_slice()),
                (Some(3), b"mesh0123\n".as_slice()),
                "{shell}"
            );
        }
    }

    #[test]
    fn half_a_script_does_not_run() {
        let body = body(&Job::new("x", "echo ran"), &marker()).unwrap();
        let mut child = Command::new("sh")
            .args(["-c", &command(&marker(), body.len(), "")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&body.as_bytes()[..body.len() - 9]).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(CUT_SHORT), b"mesh0123\n".as_slice()));
    }
}
