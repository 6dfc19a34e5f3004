//! A wall clock that differs from that of this machine, for programs that run on it without a bed.

use std::{fs, os::unix::fs::FileExt, process::Command};

use super::faults::clock_library;

/// The clock; whoever it is shown to sees every shift while it runs.
#[derive(Debug)]
pub struct Clock {
    dir: tempfile::TempDir,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that is right, until it is shifted; a C compiler is needed for it.
    #[must_use]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        clock_library(dir.path()).unwrap();
        fs::write(dir.path().join("shift"), 0_i64.to_ne_bytes()).unwrap();
        Self { dir }
    }

    /// Has a program, and all that it starts, see this clock.
    pub fn shown_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", self.dir.path().join("clock.so")).env("BED_CLOCK", self.dir.path().join("shift"))
    }

    /// Shifts it against that of this machine.
    pub fn shift(&self, seconds: i64) {
        let file = fs::File::options().write(true).open(self.dir.path().join("shift")).unwrap();
        file.write_all_at(&(seconds * 1_000_000_000).to_ne_bytes(), 0).unwrap();
    }
}
