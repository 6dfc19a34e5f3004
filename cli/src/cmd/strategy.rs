//! `mesh strategy deploy|ls|status|rollback`.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, Subcommand};
use mesh_core::{
    id::{Digest, ObjectName},
    kind::{ACTIVE, ActivationSpec, Brain, Kind, PolicySpec, Role, StrategySpec, parse},
};
use mesh_proto::v1::{self, blobs_client::BlobsClient};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{Cx, cordon::policy, nodes, progress::Progress};
use crate::{
    Exit, Failure, Result,
    client::Session,
    human,
    items::{self, List},
    output::Table,
    write::{self, How},
};

/// How long routers may take to load a strategy, unless `--timeout` says otherwise.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
/// Nothing larger is read at all, in bytes; what a strategy may have is the check's to say.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The largest piece of a blob in one message, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// What `mesh strategy` can do.
#[derive(Debug, Subcommand)]
pub(crate) enum StrategyCommand {
    /// Checks a .wasm, sends it to the mesh and has every router decide with it
    Deploy(DeployArgs),
    /// Lists strategies and which of them decides
    Ls,
    /// Shows what every router decides with
    Status,
    /// Brings back what decided before
    Rollback {
        /// Returns when the change is agreed
        #[arg(long)]
        no_wait: bool,
    },
}

/// Arguments of `mesh strategy deploy`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: mesh strategy deploy hybrid.wasm\n\nStaged rollout (shadow, a share of traffic, all of it) does not exist yet: with and without --now every router swaps at once."
)]
pub(crate) struct DeployArgs {
    /// The strategy
    file: PathBuf,
    /// Its name; default: the name it states itself
    #[arg(long)]
    name: Option<String>,
    /// Swaps on all traffic at once; today this is always so
    #[arg(long)]
    now: bool,
    /// A file with the Ed25519 signature over its SHA-256, 128 hex digits; default: FILE.sig when it is there
    #[arg(long, value_name = "FILE")]
    signature: Option<PathBuf>,
    /// Only checks the file
    #[arg(long)]
    dry_run: bool,
    /// Returns when the change is agreed
    #[arg(long)]
    no_wait: bool,
}

pub(crate) async fn run(cx: &Cx, command: StrategyCommand) -> Result {
    match command {
        StrategyCommand::Deploy(args) => deploy(cx, args).await,
        StrategyCommand::Ls => ls(cx).await,
        StrategyCommand::Status => status(cx).await,
        StrategyCommand::Rollback { no_wait } => rollback(cx, no_wait).await,
    }
}

/// A module that passed every check that can be made here.
struct Module {
    bytes: bytes::Bytes,
    digest: Digest,
    name: ObjectName,
    version: String,
    signature: Option<String>,
}

fn load(args: &DeployArgs) -> Result<Module> {
    let place = args.file.display().to_string();
    let invalid = |why: &dyn std::fmt::Display| Failure::new(Exit::Invalid, format!("cannot deploy {place}")).why(why);
    let size = std::fs::metadata(&args.file).map_err(|error| invalid(&error))?.len();
    if size > FILE_BYTES_MAX {
        return Err(invalid(&format!("it has {size} bytes, the limit is {}", FILE_BYTES_MAX)));
    }
    let bytes = std::fs::read(&args.file).map_err(|error| invalid(&error))?;
    let checked = mesh_strategy::check(&bytes)
        .map_err(|error| invalid(&error).next("mesh strategy deploy --dry-run FILE.wasm, after a new build"))?;
    let digest: Digest = checked.digest.parse().map_err(|error| invalid(&error))?;
    // Names of objects are DNS labels; a module may use more letters for its own.
    let own = checked.manifest.name.replace(['_', '.', '+'], "-");
    let name = ObjectName::new(args.name.clone().unwrap_or(own)).map_err(|error| {
        Failure::new(Exit::Usage, "the strategy needs a name")
            .why(error)
            .next("mesh strategy deploy FILE.wasm --name NAME")
    })?;
    let beside = PathBuf::from(format!("{place}.sig"));
    let signature = match &args.signature {
        Some(path) => Some(read_signature(path)?),
        None if beside.exists() => Some(read_signature(&beside)?),
        None => None,
    };
    Ok(Module { bytes: bytes.into(), digest, name, version: checked.manifest.version, signature })
}

fn read_signature(path: &Path) -> Result<String> {
    let wrong = |why: String| {
        Failure::new(Exit::Mismatch, format!("cannot use the signature {}", path.display()))
            .coded(crate::Code::Bundle)
            .why(why)
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let text = text.trim().to_lowercase();
    if text.len() != 128 || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err(wrong("it must be 128 hex digits".to_owned()));
    }
    Ok(text)
}

/// What the mesh and every router will check again, said before anything is sent.
fn check_signature(module: &Module, policy: &PolicySpec) -> Result<()> {
    if !policy.require_signed {
        return Ok(());
    }
    let refused = |why: &str| {
        Failure::new(Exit::Mismatch, format!("cannot deploy {}", module.name))
            .coded(crate::Code::Unsigned)
            .why(format!("{why}, and policy/mesh says require_signed"))
            .next("mesh strategy deploy FILE.wasm --signature FILE.sig")
    };
    let signature = module.signature.as_deref().ok_or_else(|| refused("it is not signed"))?;
    let signature = crate::provision::unhex(signature).ok_or_else(|| refused("its signature is no hex"))?;
    let is_trusted = policy.trusted_keys.iter().filter_map(|key| crate::provision::unhex(key)).any(|key| {
        let key = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, key);
        key.verify(&module.digest.0, &signature).is_ok()
    });
    if is_trusted { Ok(()) } else { Err(refused("no trusted key made its signature")) }
}

async fn deploy(cx: &Cx, args: DeployArgs) -> Result {
    let module = load(&args)?;
    cx.out.say(&format!(
        "{} {} ({}) passes its checks: {} bytes",
        module.name,
        module.version,
        module.digest.short(),
        module.bytes.len()
    ));
    if args.dry_run {
        return Ok(Exit::Done);
    }
    let session = cx.session().await?;
    check_signature(&module, &policy(&session).await?)?;
    upload(&session, &module).await?;
    let now = human::now();
    let strategy = StrategySpec {
        digest: module.digest,
        size_bytes: module.bytes.len() as u64,
        version: module.version.clone(),
        signature: module.signature.clone(),
        by: session.me(),
        at: now,
    };
    let (found, revision) = activation(&session).await?;
    let active = Brain::Wasm { name: module.name.clone(), digest: module.digest, version: module.version.clone() };
    let next = ActivationSpec { seq: found.seq + 1, active, previous: found.active, by: session.me(), at: now };
    let mut items = Vec::new();
    let known = write::list(&session, Kind::Strategy, &[]).await?;
    let is_known = known.items.iter().any(|it| {
        it.name == module.name.as_str()
            && parse::<StrategySpec>(&it.spec)
                .is_ok_and(|it| it.digest == module.digest && it.signature == module.signature)
    });
    if !is_known {
        items.push(write::item(&module.name, &strategy, None));
    }
    items.push(write::item(&active_name()?, &next, Some(revision)));
    let next = activate(&session, &format!("cannot deploy {}", module.name), items, (next, &How::default())).await?;
    if !args.now {
        cx.out.say("staged rollout does not exist yet: every router swaps at once, as with --now");
    }
    settle(cx, &session, &next, args.no_wait).await
}

/// Writes an activation; the mesh counts activations, so what counts is the answer.
async fn activate(
    session: &Session,
    what: &str,
    items: Vec<v1::ApplyItem>,
    (wanted, how): (ActivationSpec, &How),
) -> Result<ActivationSpec> {
    let answer = write::apply(session, what, items, how).await?;
    let written = answer.results.iter().find(|it| it.kind == Kind::Activation.as_str());
    Ok(written.and_then(|it| parse(&it.after).ok()).unwrap_or(wanted))
}

async fn upload(session: &Session, module: &Module) -> Result<()> {
    let what = format!("cannot send {}", module.name);
    let digest = module.digest.to_string();
    let there = session
        .ask(&what, async |channel| BlobsClient::new(channel).stat(v1::BlobRequest { digest: digest.clone() }).await)
        .await;
    if there.is_ok_and(|it| it.present) {
        return Ok(());
    }
    let chunks: Vec<v1::BlobChunk> = module
        .bytes
        .chunks(CHUNK_BYTES)
        .enumerate()
        .map(|(i, data)| v1::BlobChunk {
            digest: if i == 0 { digest.clone() } else { String::new() },
            data: module.bytes.slice_ref(data),
        })
        .collect();
    session.ask(&what, async |channel| BlobsClient::new(channel).put(tokio_stream::iter(chunks.clone())).await).await?;
    Ok(())
}

fn active_name() -> Result<ObjectName> {
    super::cordon::object_name(ACTIVE)
}

/// What decides now, with the revision of the object that says so.
pub(crate) async fn activation(session: &Session) -> Result<(ActivationSpec, u64)> {
    let found = write::list(session, Kind::Activation, &[ACTIVE.to_owned()]).await?;
    let spec = found.items.first().and_then(|it| Some((parse::<ActivationSpec>(&it.spec).ok()?, it.revision)));
    spec.ok_or_else(|| {
        Failure::new(Exit::Failed, "the mesh has no readable activation").next("mesh get activations -o yaml")
    })
}

async fn rollback(cx: &Cx, no_wait: bool) -> Result {
    let session = cx.session().await?;
    let next = roll_back(&session, &How::default()).await?;
    settle(cx, &session, &next, no_wait).await
}

/// Writes the activation that brings back what decided before; routers load it on their own.
pub(crate) async fn roll_back(session: &Session, how: &How) -> Result<ActivationSpec> {
    let (found, revision) = activation(session).await?;
    let next = ActivationSpec {
        seq: found.seq + 1,
        active: found.previous,
        previous: found.active,
        by: session.me(),
        at: human::now(),
    };
    let items = vec![write::item(&active_name()?, &next, Some(revision))];
    activate(session, "cannot roll back", items, (next, how)).await
}

/// Waits until every router decides with the wanted strategy.
async fn settle(cx: &Cx, session: &Session, next: &ActivationSpec, no_wait: bool) -> Result {
    if no_wait {
        cx.out
            .say(&format!("agreed: {} (activation {}); mesh strategy status shows the routers", next.active, next.seq));
        return Ok(Exit::Done);
    }
    let limit = session.limit().unwrap_or(WAIT_LIMIT);
    let (begun, progress) = (Instant::now(), Progress::new(cx.out.quiet));
    loop {
        let found = nodes::fetch(session, &[]).await?;
        let routers: Vec<Standing> = routers(&found.items).into_iter().map(|it| standing(it, next)).collect();
        let behind: Vec<String> = routers.iter().filter_map(|it| it.problem.clone()).collect();
        if let Some(refused) = routers.iter().find_map(|it| it.refused.clone()) {
            return Err(Failure::new(Exit::Failed, format!("a router does not run {}", next.active))
                .why(refused)
                .next("mesh strategy rollback"));
        }
        if behind.is_empty() {
            drop(progress);
            return settled(cx, next, routers.len());
        }
        if begun.elapsed() >= limit {
            return Err(Failure::new(Exit::Deadline, format!("not every router decides with {}", next.active))
                .why(behind.join("\n"))
                .next("mesh strategy status"));
        }
        progress.doing(&behind.join("; "));
        sleep(Duration::from_millis(50)).await;
    }
}

fn settled(cx: &Cx, next: &ActivationSpec, routers: usize) -> Result {
    if cx.out.is_for_people() {
        cx.out.line(&format!("{} decides on {routers} of {routers} routers (activation {})", next.active, next.seq))?;
    } else {
        cx.out.value(&json!({ "schema": items::SCHEMA, "seq": next.seq, "active": next.active, "previous": next.previous, "routers": routers }))?;
    }
    Ok(Exit::Done)
}

fn routers(items: &[v1::NodeItem]) -> Vec<&v1::NodeItem> {
    items.iter().filter(|it| nodes::spec_of(it).is(Role::Router)).collect()
}

/// How a router stands to a wanted activation.
struct Standing {
    /// What it has not done yet.
    problem: Option<String>,
    /// Why it will not.
    refused: Option<String>,
}

fn standing(item: &v1::NodeItem, next: &ActivationSpec) -> Standing {
    let name = nodes::name_of(item);
    let wait = |why: String| Standing { problem: Some(format!("router {name} {why}")), refused: None };
    if item.phase == "Lost" {
        return wait("is lost".to_owned());
    }
    let Some(report) = item.status.as_ref().and_then(|it| it.router.as_ref()) else {
        return wait("has not reported".to_owned());
    };
    match &report.strategy {
        Some(it) if it.seq > next.seq => Standing { problem: None, refused: None },
        Some(it) if it.seq == next.seq => match &it.error {
            Some(error) => Standing { problem: None, refused: Some(format!("router {name}: {error}")) },
            None => Standing { problem: None, refused: None },
        },
        // The error of an activation that is being loaded comes with the strategy that still decides.
        Some(it) => wait(
            it.error
                .clone()
                .map_or_else(|| format!("still runs {} {}", it.name, it.version), |error| format!("says: {error}")),
        ),
        None => wait("names no strategy".to_owned()),
    }
}

async fn ls(cx: &Cx) -> Result {
    let session = cx.session().await?;
    let strategies = write::list(&session, Kind::Strategy, &[]).await?.items;
    let (active, _) = activation(&session).await?;
    let state = |digest: Option<Digest>, name: &str| {
        let is = |brain: &Brain| brain.digest() == digest && brain.name() == name;
        if is(&active.active) {
            "active"
        } else if is(&active.previous) {
            "previous"
        } else {
            "idle"
        }
    };
    if !cx.out.is_for_people() {
        let mut list: Vec<_> = strategies.iter().map(items::object).collect();
        for item in &mut list {
            let digest = item.spec.get("digest").and_then(|it| it.as_str()).and_then(|it| it.parse().ok());
            item.status = json!({ "state": state(digest, &item.name) });
        }
        cx.out.value(&List::new(&list))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NAME", "STATE", "VERSION", "DIGEST", "SIZE", "BY", "AGE"]);
    let dash = || human::UNKNOWN.to_owned();
    for name in ["baseline_rr", "least_queue"] {
        table.row(vec![name.into(), state(None, name).into(), "built in".into(), dash(), dash(), dash(), dash()]);
    }
    let now = human::now();
    for object in &strategies {
        if let Ok(it) = parse::<StrategySpec>(&object.spec) {
            let (state, age) = (state(Some(it.digest), &object.name), human::duration(it.at.age_ms(now)));
            table.row(vec![
                object.name.clone(),
                state.into(),
                it.version,
                it.digest.short(),
                human::bytes(it.size_bytes),
                it.by.name.to_string(),
                age,
            ]);
        }
    }
    cx.out.table(&table)?;
    Ok(Exit::Done)
}

async fn status(cx: &Cx) -> Result {
    let session = cx.session().await?;
    let (wanted, _) = activation(&session).await?;
    let found = nodes::fetch(&session, &[]).await?;
    let routers = routers(&found.items);
    if !cx.out.is_for_people() {
        let routers: Vec<_> = routers.iter().map(|it| {
            let node = items::node(it);
            json!({ "node": node.name, "phase": node.status["phase"], "strategy": node.status["router"]["strategy"], "decisions": node.status["router"]["decisions"] })
        }).collect();
        cx.out.value(&json!({ "schema": items::SCHEMA, "activation": wanted, "routers": routers }))?;
        return Ok(Exit::Done);
    }
    cx.out.line(&format!("Active     {} (activation {})", wanted.active, wanted.seq))?;
    cx.out.line(&format!("Previous   {}", wanted.previous))?;
    cx.out.line("")?;
    let mut table = Table::new(&["ROUTER", "PHASE", "STRATEGY", "VERSION", "SEQ", "DECISIONS", "NOTE"]);
    for item in routers {
        let report = item.status.as_ref().and_then(|it| it.router.as_ref());
        let strategy = report.and_then(|it| it.strategy.as_ref());
        let decisions: Vec<String> = report
            .iter()
            .flat_map(|it| &it.decisions)
            .map(|it| format!("{} {}={}", it.strategy, it.outcome, it.count))
            .collect();
        table.row(vec![
            nodes::name_of(item).to_owned(),
            item.phase.clone(),
            human::or_dash(strategy.map(|it| it.name.clone())),
            human::or_dash(strategy.map(|it| it.version.clone())),
            human::or_dash(strategy.map(|it| it.seq)),
            if decisions.is_empty() { human::UNKNOWN.to_owned() } else { decisions.join(", ") },
            human::or_dash(strategy.and_then(|it| it.error.clone())),
        ]);
    }
    cx.out.table(&table)?;
    Ok(Exit::Done)
}
