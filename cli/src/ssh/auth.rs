//! Logging in: which keys are tried, in which order, and what is said when none is taken.

use std::sync::Arc;

use age::secrecy::ExposeSecret;
use russh::{
    MethodKind, MethodSet, SendError, Signer,
    client::{AuthResult, Handle, Handler, KeyboardInteractiveAuthResponse},
    keys::{
        Certificate, HashAlg, PrivateKey, PublicKey,
        agent::AgentIdentity,
        signature,
        ssh_key::{Signature, private::KeypairData},
    },
};

use super::{
    agent::Agent,
    frame::printable,
    identity::{KeyFile, Unopened},
    secret::{Question, Questions, Unanswered},
};

/// How many keys are offered to a host: sshd hangs up after as many.
const TRIES_MAX: usize = 6;
/// How many rounds of questions a host may ask.
const ROUNDS_MAX: u32 = 8;

/// Who logs in where.
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) address: &'a str,
    pub(super) keys: &'a [Candidate],
    /// Why there are not more keys: an agent that does not answer, files that are not there.
    pub(super) missing: &'a [String],
}

/// Why nobody was let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotIn {
    /// The host took nothing that was tried.
    #[error("{0}")]
    Refused(String),
    /// The host takes a key whose passphrase nobody gave.
    #[error(transparent)]
    Unanswered(Unanswered),
    /// The connection ended before the host had decided.
    #[error("the connection ended while logging in")]
    Gone,
}

/// One thing to log in with.
#[derive(Clone)]
pub(super) struct Candidate {
    key: PublicKey,
    certificate: Option<Certificate>,
    holder: Holder,
}

/// Who has the private half.
#[derive(Clone)]
enum Holder {
    Agent(Arc<Agent>, Box<AgentIdentity>),
    File(Arc<KeyFile>),
}

/// What a host may be offered.
#[derive(Default)]
pub(super) struct Keys {
    /// The files that are configured, in their order.
    pub(super) files: Vec<Arc<KeyFile>>,
    /// Certificates that are configured by themselves.
    pub(super) certificates: Vec<Certificate>,
    /// The agent.
    pub(super) agent: Option<Arc<Agent>>,
    /// Nothing but what is configured may be offered.
    pub(super) only: bool,
}

impl Keys {
    /// Orders them: what is configured first, from the agent where it has it; then what else the agent has; then what
    /// needs a passphrase. A certificate comes before its key.
    pub(super) fn in_order(&self) -> Vec<Candidate> {
        let (mut first, mut locked) = (Vec::new(), Vec::new());
        for file in &self.files {
            let held = self.held(&file.public);
            let holder = match held {
                Some(holder) => holder,
                None if file.is_private() => Holder::File(Arc::clone(file)),
                None => continue,
            };
            let waits = matches!(holder, Holder::File(_)) && file.is_locked();
            let list = if waits { &mut locked } else { &mut first };
            let certificates = file.certificate.iter().chain(&self.certificates);
            for certificate in certificates.filter(|it| it.public_key() == file.public.key_data()) {
                list.push(Candidate::new(&file.public, Some(certificate.clone()), holder.clone()));
            }
            list.push(Candidate::new(&file.public, None, holder));
        }
        let mut others = if self.only { Vec::new() } else { self.agents_own() };
        others.retain(|it| !first.iter().any(|known| known.is(it)));
        // Room is kept for what is configured: sshd counts every key.
        others.truncate(TRIES_MAX.saturating_sub(first.len() + locked.len()).max(1));
        first.into_iter().chain(others).chain(locked).collect()
    }

    fn held(&self, key: &PublicKey) -> Option<Holder> {
        let agent = self.agent.as_ref()?;
        let held = agent
            .identities()
            .iter()
            .find(|it| matches!(it, AgentIdentity::PublicKey { key: held, .. } if held.key_data() == key.key_data()))?;
        Some(Holder::Agent(Arc::clone(agent), Box::new(held.clone())))
    }

    fn agents_own(&self) -> Vec<Candidate> {
        let Some(agent) = &self.agent else { return Vec::new() };
        let candidate = |identity: &AgentIdentity| {
            let holder = Holder::Agent(Arc::clone(agent), Box::new(identity.clone()));
            match identity {
                AgentIdentity::PublicKey { key, .. } => Candidate::new(key, None, holder),
                AgentIdentity::Certificate { certificate, .. } => {
                    let key = PublicKey::new(certificate.public_key().clone(), "");
                    Candidate::new(&key, Some(certificate.clone()), holder)
                }
            }
        };
        agent.identities().iter().map(candidate).collect()
    }
}

impl Candidate {
    fn new(key: &PublicKey, certificate: Option<Certificate>, holder: Holder) -> Self {
        Self { key: key.clone(), certificate, holder }
    }

    fn is(&self, other: &Self) -> bool {
        self.key.key_data() == other.key.key_data() && self.certificate == other.certificate
    }

    /// What it is called in an error.
    fn label(&self) -> String {
        let what = if self.certificate.is_some() { "certificate" } else { "key" };
        let fingerprint = self.key.fingerprint(HashAlg::Sha256);
        match &self.holder {
            Holder::File(file) => format!("{what} {} ({fingerprint})", file.path.display()),
            Holder::Agent(_, identity) => {
                let (AgentIdentity::PublicKey { comment, .. } | AgentIdentity::Certificate { comment, .. }) =
                    &**identity;
                format!("{what} `{}` of the agent ({fingerprint})", printable(comment))
            }
        }
    }

    async fn offer<H: Handler>(
        &self,
        handle: &mut Handle<H>,
        user: &str,
        questions: &Questions,
    ) -> Result<AuthResult, Unsigned> {
        let hash = self.hash(handle).await?;
        let mut pen = Pen { holder: &self.holder, questions };
        match &self.certificate {
            Some(certificate) => handle.authenticate_certificate_with(user, certificate.clone(), hash, &mut pen).await,
            None => handle.authenticate_publickey_with(user, self.key.clone(), hash, &mut pen).await,
        }
    }

    /// RSA signs with SHA-2 or not at all.
    async fn hash<H: Handler>(&self, handle: &Handle<H>) -> Result<Option<HashAlg>, Unsigned> {
        if !self.key.algorithm().is_rsa() {
            return Ok(None);
        }
        match handle.best_supported_rsa_hash().await {
            Ok(None) => Ok(Some(HashAlg::Sha512)),
            Ok(Some(Some(hash))) => Ok(Some(hash)),
            Ok(Some(None)) => Err(Unsigned::Other("the host knows only SHA-1 signatures of RSA keys".to_owned())),
            Err(_) => Err(Unsigned::Gone),
        }
    }
}

/// Signs for whoever holds the private half.
struct Pen<'a> {
    holder: &'a Holder,
    questions: &'a Questions,
}

/// Why there is no signature.
#[derive(Debug, thiserror::Error)]
enum Unsigned {
    #[error("the connection ended")]
    Gone,
    #[error(transparent)]
    Unanswered(Unanswered),
    #[error("{0}")]
    Other(String),
}

impl From<SendError> for Unsigned {
    fn from(_: SendError) -> Self {
        Self::Gone
    }
}

impl From<Unopened> for Unsigned {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Unanswered(it) => Self::Unanswered(it),
            Unopened::Other(why) => Self::Other(why),
        }
    }
}

impl Signer for Pen<'_> {
    type Error = Unsigned;

    async fn auth_sign(
        &mut self,
        _: &AgentIdentity,
        hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, Unsigned> {
        match self.holder {
            // The agent is asked by the name under which it listed the key: it may not know the certificate.
            Holder::Agent(agent, identity) => {
                agent.sign(identity, hash, data).await.map_err(|error| Unsigned::Other(error.to_string()))
            }
            Holder::File(file) => {
                let key = file.open(self.questions).await?;
                let signed = sign(&key, hash, &data).map_err(|error| Unsigned::Other(error.to_string()))?;
                let length = u32::try_from(signed.len()).map_err(|error| Unsigned::Other(error.to_string()))?;
                data.extend_from_slice(&length.to_be_bytes());
                data.extend_from_slice(&signed);
                Ok(data)
            }
        }
    }
}

/// A signature as it goes over the wire.
fn sign(key: &PrivateKey, hash: Option<HashAlg>, data: &[u8]) -> Result<Vec<u8>, signature::Error> {
    use signature::Signer;
    let signed: Signature =
        if let KeypairData::Rsa(pair) = key.key_data() { (pair, hash).try_sign(data)? } else { key.try_sign(data)? };
    signed.try_into().map_err(signature::Error::from_source)
}

/// Logs in, or tells what was tried.
pub(super) async fn log_in<H: Handler>(
    handle: &mut Handle<H>,
    login: &Login<'_>,
    questions: &Questions,
) -> Result<(), NotIn> {
    let (mut tried, mut unanswered, mut accepted) = (Vec::new(), None, None);
    for candidate in login.keys.iter().take(TRIES_MAX) {
        match candidate.offer(handle, login.user, questions).await {
            Ok(AuthResult::Success) => return Ok(()),
            Ok(AuthResult::Failure { remaining_methods, .. }) => {
                tried.push(candidate.label());
                if handle.is_closed() {
                    return Err(gone(&tried));
                }
                let goes_on = remaining_methods.contains(&MethodKind::PublicKey);
                accepted = Some(remaining_methods);
                if !goes_on {
                    break;
                }
            }
            Err(Unsigned::Gone) => return Err(gone(&tried)),
            Err(Unsigned::Unanswered(it)) => unanswered = Some(it),
            Err(why) => tried.push(format!("{}: {why}", candidate.label())),
        }
    }
    // Asks what the host takes when no key was there to ask with; some take whoever got this far.
    let accepted = match accepted {
        Some(accepted) => accepted,
        None => match handle.authenticate_none(login.user).await {
            Ok(AuthResult::Success) => return Ok(()),
            Ok(AuthResult::Failure { remaining_methods, .. }) => remaining_methods,
            Err(_) => return Err(NotIn::Gone),
        },
    };
    if let Some(unanswered) = unanswered {
        return Err(NotIn::Unanswered(unanswered));
    }
    if accepted.contains(&MethodKind::KeyboardInteractive) && questions.interactive() {
        tried.push("the host's own questions".to_owned());
        if interactively(handle, login, questions).await? {
            return Ok(());
        }
    }
    Err(NotIn::Refused(refusal(login, &tried, &accepted)))
}

/// What a hang-up means: after a key was refused it is sshd's answer to too many of them.
fn gone(tried: &[String]) -> NotIn {
    match tried.len() {
        0 | 1 => NotIn::Gone,
        _ => NotIn::Refused(format!("the host hung up after {}", tried.join(", "))),
    }
}

fn refusal(login: &Login<'_>, tried: &[String], accepted: &MethodSet) -> String {
    let tried =
        if tried.is_empty() { "there was no key to try".to_owned() } else { format!("tried {}", tried.join(", ")) };
    let missing = login.missing.iter().map(|it| format!("; {it}")).collect::<String>();
    let accepted: Vec<&str> = accepted.iter().map(Into::into).collect();
    let accepted = if accepted.is_empty() { "nothing".to_owned() } else { accepted.join(", ") };
    format!("as user {}: {tried}{missing}; the host accepts {accepted}", login.user)
}

async fn interactively<H: Handler>(
    handle: &mut Handle<H>,
    login: &Login<'_>,
    questions: &Questions,
) -> Result<bool, NotIn> {
    let gone = |_| NotIn::Gone;
    let mut answer = handle.authenticate_keyboard_interactive_start(login.user, None::<String>).await.map_err(gone)?;
    for _ in 0..ROUNDS_MAX {
        let prompts = match answer {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
        };
        let mut responses = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            let question =
                Question::Login { address: login.address.to_owned(), text: prompt.prompt, echo: prompt.echo };
            let given = questions.ask(question).await.map_err(NotIn::Unanswered)?;
            responses.push(given.expose_secret().to_owned());
        }
        answer = handle.authenticate_keyboard_interactive_respond(responses).await.map_err(gone)?;
    }
    Ok(false)
}
