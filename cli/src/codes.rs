//! The codes of failures: what each means and what to do, for `mesh explain`.

use std::fmt;

use mesh_proto::reason;

/// What is known of one code.
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// The code.
    pub code: Code,
    /// What failed, in a few words.
    pub title: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// What to do.
    pub todo: &'static str,
}

macro_rules! codes {
    ($($variant:ident, $number:literal, $title:literal, $meaning:literal, $todo:literal;)*) => {
        /// The code of a failure; it never changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $(#[doc = $title] $variant,)*
        }

        impl Code {
            /// Everything there is to say, in the order of the numbers.
            pub const TABLE: &[Explanation] = &[
                $(Explanation { code: Self::$variant, title: $title, meaning: $meaning, todo: $todo },)*
            ];

            /// The number.
            #[must_use]
            pub fn number(self) -> u16 {
                match self { $(Self::$variant => $number,)* }
            }
        }
    };
}

codes! {
    HostsFile, 101, "hosts.yaml is refused",
        "The file cannot be read, is not YAML, or says something that cannot be. Every problem is named with its line and column, at most 50 at a time; nothing was done.",
        "Correct the lines and check again: mesh check hosts.yaml --offline\nWhat a key means: mesh explain hosts.ssh.jump\nIn an editor: mesh init --schema > hosts.schema.json";
    Manifest, 102, "a manifest is refused",
        "A file given to apply, diff or delete is not made of documents of {kind, name, spec}, or a field is wrong. Nothing was written.",
        "What a kind holds: mesh explain node\nA right one to begin with: mesh get node NAME -o yaml";
    Playbook, 103, "a playbook is refused",
        "There is no such playbook, or a step, a key or a variable in it is wrong. Every problem is named with its line and column; nothing was done on any host.",
        "mesh playbook lint FILE names all problems; mesh playbook show NAME prints a built-in one to begin with.";
    Connect, 201, "a host cannot be reached",
        "No connection to sshd came about: the name is not known, nothing listens there, a firewall drops it, or a jump host refused to go on.",
        "Try it by hand: ssh HOST true\nAddress, port and jump hosts are in hosts.yaml: mesh explain hosts.ssh";
    HostKey, 202, "a host key is not trusted",
        "The key that the host showed is unknown, differs from the one on record, is revoked, or its certificate does not hold. A changed key is a host that was installed anew, or somebody in between; no flag overrides it.",
        "Compare with the host itself, at its console: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub\nIf it was installed anew: ssh-keygen -R HOST\nTo be sure from the beginning, pin it: mesh explain hosts.ssh.host_key";
    Login, 203, "a host does not let in",
        "The host answered and is the right one, but took none of the keys that were offered.",
        "Try it by hand: ssh USER@HOST true\nUser, keys and agent: mesh explain hosts.ssh.identity";
    Become, 204, "root is not to be had",
        "The login works, but sudo refused: no password was given, it is wrong, or the user may not become root.",
        "Try it by hand: ssh HOST sudo true\nWhere the password comes from: mesh explain hosts.become.password";
    Lost, 205, "a connection broke",
        "The connection to a host ended while a script ran there. Whether the script took effect is not known; every step looks first, so it can be done again.",
        "Run the same command again.";
    HostSlow, 206, "a host took too long",
        "A script on a host did not end within its time.",
        "Look what keeps the host busy: mesh check hosts.yaml\nThen run the same command again.";
    HostScript, 207, "a script failed on a host",
        "A script could not be started on a host, ended with an error, or said something that makes no sense. The end of what it said is in the message.",
        "Look at the host: mesh check hosts.yaml";
    HostUnfit, 208, "a host is not fit",
        "A host was reached, and something about it stands in the way: a clock that is off, no room, a port that is taken, no tool that is needed, or an identity that another host has too.",
        "mesh check names each; it changes nothing and can be repeated.";
    Unanswered, 209, "a secret was needed, and nobody gave it",
        "A password or a passphrase is wanted, and there is no terminal to ask at, or --no-input forbids it.",
        "Say where it is: mesh explain hosts.become.password\nKeys with a passphrase: give them to the SSH agent, with ssh-add";
    OtherMesh, 301, "the hosts belong to another mesh",
        "A host, or the root on this machine, belongs to another mesh than hosts.yaml says; mixing two would let one take over the other.",
        "Use the hosts.yaml and the configuration of the mesh they belong to. To give a host to another mesh: mesh reset HOSTS.yaml";
    Bundle, 401, "a digest or a signature does not match",
        "Binaries, a bundle or a strategy are not what was signed or stated: a transfer was cut, a file was changed, or nobody whose key is trusted signed it. Nothing of it was started.",
        "Fetch or build it again. Which keys sign strategies: mesh get policies -o yaml";
    LockHeld, 501, "somebody else is at it",
        "Another command changes the same mesh or host right now; two at once would undo each other. The message says who, when it is known.",
        "Wait until it is done, then run the same command. A lock ends with the command that holds it.";
    PlanStale, 502, "the plan is out of date",
        "What the plan was made from has changed since, so carrying it out could do something nobody has looked at. Nothing was done.",
        "Make it again and look at it: mesh bootstrap hosts.yaml --dry-run --plan-out FILE";
    NoContext, 601, "no mesh is known",
        "There is no context: no local mesh runs, and the configuration names none, or not this one.",
        "mesh up starts one on this machine; mesh context ls shows those that are known.";
    NoEndpoint, 602, "nobody answers",
        "None of the endpoints of the context answered: the agents are down, or the way to them is cut.",
        "mesh cluster status --endpoint NODE asks one of them; mesh context ls shows the endpoints.";
    NoQuorum, 603, "there is no quorum",
        "Fewer than a majority of the coordinators can agree. What is declared stays as it is and everything goes on serving; nothing was written.",
        "Who is missing: mesh cluster status\nBring one of them back, then run the same command.";
    OutcomeUnknown, 604, "whether it was written is not known",
        "The answer was lost, not the request: the write may have happened.",
        "Run the same command again: it has the same effect once or twice. Or look: mesh get KIND NAME";
    NotReady, 605, "the agent is not ready",
        "The agent that was asked has started and has not caught up with the others yet.",
        "Try again in a few seconds, or ask another: --endpoint NODE";
    Denied, 606, "the operator may not do this",
        "The certificate is good, and its role does not allow this: viewers look, operators act on nodes and strategies, admins change who may do what.",
        "Who has which role: mesh get bindings\nAn admin changes it: mesh apply -f binding.yaml (mesh explain binding)";
    Conflict, 607, "somebody changed it in between",
        "The object is not at the revision that the command began from.",
        "mesh get KIND NAME -o yaml, make the change again there, then mesh apply -f FILE.";
    Already, 608, "it has been done already",
        "This can be done once, and it has been.",
        "Look at what is there: mesh get KIND NAME";
    InvalidRequest, 609, "the mesh refused a value",
        "A field is wrong in a way that only the mesh can tell. The message names the field.",
        "What the fields mean: mesh explain KIND";
    NotFound, 610, "there is no such object",
        "Nothing of this kind has this name.",
        "What there is: mesh get KIND";
    JoinToken, 611, "a join token is refused",
        "The token is unknown, expired, used up, or for other names.",
        "mesh token ls shows those that hold; mesh token create --role gpu makes another.";
    Foreign, 612, "the certificate is of another mesh",
        "Both sides have certificates, from different roots: this context is for another mesh, or the mesh was made anew under its old name.",
        "mesh context ls, then mesh context use NAME.";
    Unsigned, 613, "a signature is missing",
        "The mesh demands that strategies are signed by a key its policy names, and this one is not.",
        "Sign it, and name the signature when deploying: mesh strategy deploy --help\nThe policy: mesh get policies -o yaml";
    Credentials, 614, "the operator is not recognised",
        "The operator's certificate is missing, has expired, was revoked, or cannot be read.",
        "For a local mesh: mesh up issues it anew. When it expires: mesh context ls -o json";
}

impl Code {
    /// The code of a reason that an agent gave.
    #[must_use]
    pub fn of_reason(text: &str) -> Option<Self> {
        let table = [
            (reason::NO_QUORUM, Self::NoQuorum),
            (reason::OUTCOME_UNKNOWN, Self::OutcomeUnknown),
            (reason::DENIED, Self::Denied),
            (reason::CONFLICT, Self::Conflict),
            (reason::INVALID, Self::InvalidRequest),
            (reason::NOT_FOUND, Self::NotFound),
            (reason::TOKEN, Self::JoinToken),
            (reason::FOREIGN, Self::Foreign),
            (reason::UNSIGNED, Self::Unsigned),
            (reason::DIGEST, Self::Bundle),
            (reason::NOT_READY, Self::NotReady),
            (reason::ALREADY, Self::Already),
        ];
        table.iter().find(|(reason, _)| *reason == text).map(|(_, code)| *code)
    }

    /// Reads `E0101`, in any case and with or without its zeros.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(['E', 'e'])?;
        let number: u16 = digits.parse().ok()?;
        Self::TABLE.iter().map(|it| it.code).find(|it| it.number() == number)
    }

    /// What is known of it.
    #[must_use]
    pub fn explanation(self) -> Option<&'static Explanation> {
        Self::TABLE.iter().find(|it| it.code == self)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E{:04}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sources(dir: &Path, text: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, text);
            } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("codes.rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_code_is_used_and_explained_and_has_one_number() {
        let mut text = String::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
        let own = include_str!("codes.rs");
        let mut last = 0;
        for it in Code::TABLE {
            let name = format!("{:?}", it.code);
            let by_reason = own.contains(&format!(", Self::{name}),"));
            let used =
                by_reason || text.contains(&format!("Code::{name})")) || text.contains(&format!("Code::{name},"));
            assert!(used, "{} {name} is never given", it.code);
            assert!(it.code.number() > last, "{}: numbers rise", it.code);
            assert!(it.meaning.ends_with('.') && it.todo.len() > 10, "{}", it.code);
            last = it.code.number();
        }
    }

    #[test]
    fn codes_are_read_as_people_write_them() {
        let check = |text: &str, expected: Option<Code>| assert_eq!(Code::parse(text), expected, "{text}");
        check("E0101", Some(Code::HostsFile));
        check("e101", Some(Code::HostsFile));
        check("E9999", None);
        check("0101", None);
        check("E", None);
        assert_eq!(Code::HostsFile.to_string(), "E0101");
        assert_eq!(Code::of_reason("NO_QUORUM"), Some(Code::NoQuorum));
    }
}
