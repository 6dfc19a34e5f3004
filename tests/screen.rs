//! A real terminal for one program: a pty whose output is read into the cells that a person would see.

use std::{
    io::{Read, Write},
    num::NonZeroU16,
    process::Command,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// How long a screen may take to show what is waited for: a loaded machine is slow.
const SOON: Duration = Duration::from_secs(15);

/// A terminal with a program in it; dropping it kills the program.
pub struct Screen {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    cells: Arc<Mutex<vt100::Parser>>,
    reads: Arc<AtomicBool>,
    written: Arc<AtomicUsize>,
}

/// What can be said of every cell of a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cells {
    /// Cells whose colours are swapped.
    pub inverse: usize,
    /// Cells with a foreground or a background colour.
    pub coloured: usize,
}

fn size((columns, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

fn cells((columns, rows): (u16, u16)) -> (NonZeroU16, NonZeroU16) {
    (NonZeroU16::new(rows).unwrap(), NonZeroU16::new(columns).unwrap())
}

impl Screen {
    /// Starts a command in a terminal of so many columns and rows; `vars` are added to its environment, which is
    /// otherwise that of the command and of a plain terminal.
    #[must_use]
    pub fn start(command: &Command, area: (u16, u16), vars: &[(&str, &str)]) -> Self {
        let pty = native_pty_system().openpty(size(area)).unwrap();
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        builder.env_clear();
        let plain = [("TERM", "xterm-256color"), ("LANG", "C.UTF-8")];
        plain.iter().for_each(|(name, value)| builder.env(name, value));
        for (name, value) in command.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            // The harness keeps colours out of what it reads as text; here they are what is looked at.
            if name != "NO_COLOR" {
                builder.env(name, value);
            }
        }
        vars.iter().for_each(|(name, value)| builder.env(name, value));
        let child = pty.slave.spawn_command(builder).unwrap();
        drop(pty.slave);
        let (rows, columns) = cells(area);
        let cells = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let (reads, written) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let (mut reader, seen, may) = (pty.master.try_clone_reader().unwrap(), Arc::clone(&cells), Arc::clone(&reads));
        let count = Arc::clone(&written);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            loop {
                while !may.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(10));
                }
                match reader.read(&mut bytes) {
                    // A pty whose other side is closed ends with an error.
                    Ok(0) | Err(_) => return,
                    Ok(n) => {
                        seen.lock().unwrap().process(&bytes[..n]);
                        count.fetch_add(n, Ordering::SeqCst);
                    }
                }
            }
        });
        let keys = pty.master.take_writer().unwrap();
        Self { master: pty.master, keys, child, cells, reads, written }
    }

    /// Types.
    pub fn keys(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Makes the terminal so many columns wide and rows high.
    pub fn resize(&self, area: (u16, u16)) {
        let (rows, columns) = cells(area);
        self.locked().screen_mut().set_size(rows, columns);
        self.master.resize(size(area)).unwrap();
    }

    /// Lets the terminal read on, or not at all.
    pub fn read_on(&self, reads: bool) {
        self.reads.store(reads, Ordering::SeqCst);
    }

    fn locked(&self) -> MutexGuard<'_, vt100::Parser> {
        self.cells.lock().unwrap()
    }

    /// What is on the screen, line by line.
    #[must_use]
    pub fn text(&self) -> String {
        self.locked().screen().contents()
    }

    /// How many bytes the program has written.
    #[must_use]
    pub fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    /// What can be said of its cells.
    #[must_use]
    pub fn look(&self) -> Cells {
        let parser = self.locked();
        let (rows, columns) = parser.screen().size();
        let mut cells = Cells::default();
        let all = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
        for cell in all.filter_map(|(row, column)| parser.screen().cell(row, column)) {
            let plain = vt100::Color::Default;
            cells.inverse += usize::from(cell.inverse());
            cells.coloured += usize::from(cell.fgcolor() != plain || cell.bgcolor() != plain);
        }
        cells
    }

    /// Whether the program has the alternate screen, and whether it hides the cursor.
    #[must_use]
    pub fn taken(&self) -> (bool, bool) {
        let parser = self.locked();
        (parser.screen().alternate_screen(), parser.screen().hide_cursor())
    }

    /// Waits until what the screen shows is as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        self.until_within(SOON, what, wanted);
    }

    /// The same for what may take longer.
    pub fn until_within(&self, limit: Duration, what: &str, wanted: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let text = self.text();
            if wanted(&text) {
                return;
            }
            assert!(begun.elapsed() < limit, "not within {limit:?}: {what}; the screen:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until the screen shows a text.
    pub fn shows(&self, part: &str) {
        self.until(&format!("`{part}` is shown"), |text| text.contains(part));
    }

    /// Waits until the screen does not show a text.
    pub fn lacks(&self, part: &str) {
        self.until(&format!("`{part}` is gone"), |text| !text.contains(part));
    }

    /// Waits until what is typed is not shown: whoever asks for a secret turns that off after the question.
    pub fn hides_keys(&self, limit: Duration) {
        let echo = rustix::termios::LocalModes::ECHO.bits();
        crate::until("what is typed is not shown", limit, || {
            let modes = self.master.get_termios()?.local_flags.bits();
            (modes & echo == 0).then_some(())
        });
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = self.child.process_id().and_then(|it| rustix::process::Pid::from_raw(it.cast_signed())).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for the end of the program; its exit code.
    pub fn ends(&mut self, limit: Duration) -> u32 {
        crate::until("the program has ended", limit, || self.child.try_wait().unwrap()).exit_code()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.read_on(true);
        // Fails only when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
