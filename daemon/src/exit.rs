//! The exit codes of the daemons.

use std::process::ExitCode;

/// How a daemon ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to stop and did.
    Done,
    /// Something it cannot go on without failed.
    Failed,
    /// Its configuration is wrong: 64.
    Config,
    /// Its log or state directory cannot be written: 70.
    LogIo,
}

impl Exit {
    /// The code the process ends with.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Config => 64,
            Self::LogIo => 70,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        let check = |exit: Exit, code: u8| assert_eq!(exit.code(), code);
        check(Exit::Done, 0);
        check(Exit::Failed, 1);
        check(Exit::Config, 64);
        check(Exit::LogIo, 70);
    }
}
