//! Becoming root: found out once a host, with a password that is asked for once and never risked twice.

use std::{path::Path, sync::Arc};

use age::secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, OnceCell};

use super::{
    exec::Through,
    frame::{Marker, printable},
    secret::{Question, Questions, Unanswered},
};
use crate::hosts::SecretRef;

/// How many hosts may refuse a password that none has taken yet; more could lock an account that they share.
const REFUSALS_MAX: u32 = 2;
/// The longest password.
const PASSWORD_MAX: usize = 4096;

/// How a host lets one become root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    /// The login is that user already.
    Already,
    /// sudo asks nothing.
    Free,
    /// sudo asks for a password.
    Password,
}

/// Finds out which way there is, without a password: `$1` is who to become.
pub(super) const PROBE: &str = r#"
if [ "$(id -un)" = "$1" ] || { [ "$1" = root ] && [ "$(id -u)" = 0 ]; }; then echo already; exit; fi
[ "$2" = sudo ] || { echo none; exit; }
command -v sudo >/dev/null 2>&1 || { echo absent; exit; }
if LC_ALL=C sudo -n -k -H -u "$1" -- /bin/sh -c : 2>&1 </dev/null; then echo free; else echo password; fi
"#;

/// Reads what the probe printed: its last line, and what sudo said before.
pub(super) fn way(printed: &str, user: &str) -> Result<Way, String> {
    let (said, verdict) = printed.trim_end().rsplit_once('\n').unwrap_or(("", printed.trim_end()));
    match verdict {
        "already" => Ok(Way::Already),
        "free" => Ok(Way::Free),
        "none" => Err(format!("the login is another user, and hosts.yaml has become: {{method: none}} for {user}")),
        "absent" => Err("there is no sudo on this host, and the login is not root".to_owned()),
        "password" => match refusal(said) {
            Some(why) => Err(why),
            None => Ok(Way::Password),
        },
        _ => Err(format!("the host says `{}`", printable(printed))),
    }
}

/// What sudo means when it lets nobody in, password or not.
pub(super) fn refusal(said: &str) -> Option<String> {
    let known = [
        ("must have a tty", "sudo wants a terminal here (requiretty): add `Defaults:USER !requiretty` to sudoers"),
        ("not in the sudoers file", "this login is not in sudoers"),
        ("is not allowed to", "sudoers does not let this login run /bin/sh"),
        ("may not run sudo", "sudoers does not let this login run sudo"),
        ("unknown user", "there is no such user on this host"),
        ("account validation failure", "the account may not be used now"),
    ];
    let known = known.iter().find(|(words, _)| said.contains(words));
    known.map(|(_, why)| format!("{why} (sudo says `{}`)", printable(said)))
}

/// What goes before `/bin/sh`.
pub(super) fn through(way: &Way, user: &str, password: Option<&SecretString>) -> Result<Through, String> {
    if user.is_empty()
        || !user.chars().all(|it| it.is_ascii_alphanumeric() || "_.-".contains(it))
        || user.starts_with('-')
    {
        return Err(format!("`{}` is no user name", printable(user)));
    }
    match (way, password) {
        (Way::Already, _) => Ok(Through::default()),
        (Way::Password, Some(password)) => {
            let prompt = Marker::random();
            let words = format!("env LC_ALL=C sudo -S -k -H -p {} -u {user} -- ", prompt.as_str());
            Ok(Through { words, password: Some((prompt, password.clone())) })
        }
        (Way::Free | Way::Password, _) => {
            Ok(Through { words: format!("env LC_ALL=C sudo -n -H -u {user} -- "), password: None })
        }
    }
}

/// The passwords of one command, each got once.
#[derive(Default)]
pub(super) struct Passwords(std::sync::Mutex<Vec<(SecretRef, String, Arc<Password>)>>);

/// One password, and how it has fared.
#[derive(Default)]
pub(super) struct Password {
    secret: OnceCell<Result<SecretString, Unanswered>>,
    /// Held while a host tries it for the first time.
    pub(super) trust: Mutex<Trust>,
}

/// What hosts made of a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trust {
    /// None has taken it; so many have refused it.
    Untried { refusals: u32 },
    /// One has taken it.
    Good,
}

impl Default for Trust {
    fn default() -> Self {
        Self::Untried { refusals: 0 }
    }
}

impl Trust {
    /// Whether one more host may be given the password.
    pub(super) fn allows(self) -> Result<(), String> {
        match self {
            Self::Untried { refusals } if refusals >= REFUSALS_MAX => {
                Err(format!("{refusals} hosts have refused this password and none has taken it: it is not tried again"))
            }
            Self::Untried { .. } | Self::Good => Ok(()),
        }
    }

    pub(super) fn refused(&mut self) {
        if let Self::Untried { refusals } = self {
            *refusals += 1;
        }
    }
}

impl Passwords {
    /// The password from a source, to become a user.
    pub(super) fn get(&self, source: &SecretRef, user: &str) -> Arc<Password> {
        let mut all = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((.., known)) = all.iter().find(|(of, whose, _)| of == source && whose == user) {
            return Arc::clone(known);
        }
        let new = Arc::<Password>::default();
        all.push((source.clone(), user.to_owned(), Arc::clone(&new)));
        new
    }
}

impl Password {
    /// The password itself, got on first use.
    pub(super) async fn secret(
        &self,
        source: &SecretRef,
        user: &str,
        questions: &Questions,
    ) -> Result<SecretString, Unanswered> {
        self.secret.get_or_init(|| get(source, user, questions)).await.clone()
    }
}

async fn get(source: &SecretRef, user: &str, questions: &Questions) -> Result<SecretString, Unanswered> {
    let lacking = |what: String, why: &dyn std::fmt::Display| Unanswered {
        why: format!("the password to become {user} cannot be read from {what}: {why}"),
        next: "name its source in hosts.yaml under become: password:".to_owned(),
    };
    let got = match source {
        SecretRef::None | SecretRef::Prompt => {
            questions.ask(Question::Become { user: user.to_owned() }).await?.expose_secret().to_owned()
        }
        SecretRef::Env(name) => std::env::var(name).map_err(|error| lacking(format!("the variable {name}"), &error))?,
        SecretRef::File(path) => first_line(path).map_err(|error| lacking(path.display().to_string(), &error))?,
        SecretRef::Command(command) => output(command).await.map_err(|why| lacking(format!("`{command}`"), &why))?,
    };
    let line = got.split(['\r', '\n']).next().unwrap_or_default();
    if line.is_empty() || line.len() > PASSWORD_MAX {
        return Err(lacking(format!("{source:?}"), &"it is empty, or too long"));
    }
    Ok(SecretString::from(line))
}

fn first_line(path: &Path) -> std::io::Result<String> {
    use std::io::Read;
    let mut text = String::new();
    std::fs::File::open(path)?.take(PASSWORD_MAX as u64 + 2).read_to_string(&mut text)?;
    Ok(text)
}

async fn output(command: &str) -> Result<String, String> {
    let running = tokio::process::Command::new("sh")
        .args(["-c", command])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::inherit())
        .kill_on_drop(true)
        .output();
    let limit = std::time::Duration::from_secs(60);
    let output = tokio::time::timeout(limit, running).await.map_err(|_| "no answer within 60 s".to_owned())?;
    let output = output.map_err(|error| error.to_string())?;
    match output.status.success() {
        true => String::from_utf8(output.stdout).map_err(|error| error.to_string()),
        false => Err(output.status.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_is_read() {
        let check = |printed: &str, expected: Result<Way, &str>| {
            let found = way(printed, "root");
            match expected {
                Ok(way) => assert_eq!(found, Ok(way), "{printed}"),
                Err(words) => assert!(found.clone().unwrap_err().contains(words), "{printed}: {found:?}"),
            }
        };
        check("already\n", Ok(Way::Already));
        check("free\n", Ok(Way::Free));
        check("sudo: a password is required\npassword\n", Ok(Way::Password));
        check("absent\n", Err("no sudo"));
        check("none\n", Err("method: none"));
        check("sudo: sorry, you must have a tty to run sudo\npassword\n", Err("requiretty"));
        check("Sorry, user u may not run sudo on h.\npassword\n", Err("does not let"));
        check("u is not in the sudoers file.\npassword\n", Err("not in sudoers"));
        check("", Err("the host says"));
    }

    #[test]
    fn a_user_name_cannot_smuggle_words() {
        for user in ["", "a b", "a;b", "-u", "$(x)", "é", "a'b"] {
            assert!(through(&Way::Free, user, None).is_err(), "{user}");
        }
        assert_eq!(through(&Way::Already, "root", None).unwrap().words, "");
        assert_eq!(through(&Way::Free, "root", None).unwrap().words, "env LC_ALL=C sudo -n -H -u root -- ");
    }

    #[test]
    fn a_password_is_not_tried_for_ever() {
        let mut trust = Trust::default();
        for _ in 0..REFUSALS_MAX {
            trust.allows().unwrap();
            trust.refused();
        }
        assert!(trust.allows().is_err());
        assert!(Trust::Good.allows().is_ok());
    }
}
