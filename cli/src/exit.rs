//! The exit codes of `mesh`: one enum, in the man page, the same for every command.

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed, or no such object.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// A file is invalid or absent.
    Invalid = 3,
    /// Some succeeded, some did not.
    Partly = 4,
    /// Nobody answers: no context, no endpoint, no quorum.
    Unreachable = 5,
    /// Authentication: a certificate of another mesh, a used token.
    Authentication = 6,
    /// Refused by a rule: access, a lock, a stale revision.
    Refused = 7,
    /// The deadline was reached.
    Deadline = 8,
    /// Declined, or a prompt was needed and could not be shown.
    Declined = 9,
    /// Changes are pending.
    Pending = 10,
    /// A digest or a signature does not match.
    Mismatch = 11,
    /// Interrupted, after an orderly stop.
    Interrupted = 130,
    /// Terminated, after an orderly stop.
    Terminated = 143,
}

impl Exit {
    /// Every code with its meaning, in order.
    pub const TABLE: &[(Self, &str)] = &[
        (Self::Done, "done, or nothing to do"),
        (Self::Failed, "failed, or no such object"),
        (Self::Usage, "usage"),
        (Self::Invalid, "invalid or absent file (a manifest, a .wasm that fails its checks)"),
        (Self::Partly, "partly failed"),
        (Self::Unreachable, "unreachable: no context, no endpoint answers, no quorum"),
        (Self::Authentication, "authentication: a certificate of another mesh, an expired certificate, a used token"),
        (Self::Refused, "refused: access, lock held, stale revision"),
        (Self::Deadline, "deadline reached"),
        (Self::Declined, "declined, or a prompt was needed and could not be shown"),
        (Self::Pending, "changes pending (--detailed-exitcode)"),
        (Self::Mismatch, "digest or signature mismatch"),
        (Self::Interrupted, "interrupted after an orderly stop"),
        (Self::Terminated, "terminated after an orderly stop"),
    ];

    /// The code of the process.
    #[must_use]
    pub fn code(self) -> u8 {
        // The discriminant is the code.
        self as u8
    }

    /// The code of a command over many hosts: some succeeded → 4; none → their common code, else 1.
    #[must_use]
    pub fn of_many(each: &[Self]) -> Self {
        let Some(first) = each.first() else { return Self::Done };
        if each.iter().all(|it| it == first) {
            return *first;
        }
        if each.contains(&Self::Done) { Self::Partly } else { Self::Failed }
    }

    /// The table as text for the manual.
    #[must_use]
    pub fn manual() -> String {
        let lines: Vec<String> =
            Self::TABLE.iter().map(|(exit, text)| format!("  {:>3}  {text}", exit.code())).collect();
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_documented_ones() {
        let codes: Vec<u8> = Exit::TABLE.iter().map(|(exit, _)| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 130, 143]);
    }

    #[test]
    fn many_hosts_have_one_code() {
        let check = |each: &[Exit], expected: Exit| assert_eq!(Exit::of_many(each), expected, "{each:?}");
        check(&[], Exit::Done);
        check(&[Exit::Done, Exit::Done], Exit::Done);
        check(&[Exit::Done, Exit::Deadline], Exit::Partly);
        check(&[Exit::Refused, Exit::Refused], Exit::Refused);
        check(&[Exit::Refused, Exit::Deadline], Exit::Failed);
    }
}
