//! `mesh up [NODE]`: a real mesh on this machine, without root and without SSH.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use mesh_core::{
    id::{MeshName, ObjectName, Principal},
    kind::MESH_POLICY,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

use super::{Cx, progress::Progress};
use crate::{
    Exit, Failure, Result, human,
    output::Table,
    provision::{
        identity,
        local::Local,
        mesh::{LocalDir, Lock, up_object},
        plan::{EngineWish, NODES_DEFAULT, NodePlan, Paths, Plan, Wanted},
        ports::PortBlock,
        ready::{self, Ready},
        release::{Release, Signed},
        steps::{self, Action, Job},
        supervisor,
    },
};

/// How long a mesh may take to be ready, unless `--timeout` says otherwise.
const LIMIT: Duration = Duration::from_secs(120);

/// Arguments of `mesh up`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  mesh up\n  mesh up -o json\n  mesh up --engine node-5=llamacpp,http://127.0.0.1:9000\n  mesh up node-2     # starts a node that mesh down node-2 stopped"
)]
pub(crate) struct UpArgs {
    /// Starts only this stopped node of the mesh
    node: Option<String>,
    /// A real engine in a stand-in's place: NODE=KIND,URL; kinds are vllm, llamacpp, standin
    #[arg(long = "engine", value_name = "NODE=KIND,URL", conflicts_with = "node")]
    engines: Vec<EngineWish>,
    /// How many nodes: three coordinators, a router, the rest GPU nodes
    #[arg(long, value_name = "N", conflicts_with = "node")]
    nodes: Option<usize>,
    /// A bundle with a manifest and its signature; without it the daemons beside mesh are taken
    #[arg(long, value_name = "DIR", conflicts_with = "node")]
    bundle: Option<PathBuf>,
    /// NVIDIA's management library on the GPU nodes, where the loader does not find it by itself
    #[arg(long, value_name = "FILE", conflicts_with = "node")]
    nvml_library: Option<PathBuf>,
    /// Only prints the plan
    #[arg(long, conflicts_with = "node")]
    dry_run: bool,
}

pub(crate) async fn run(cx: &Cx, args: UpArgs) -> Result {
    let local = LocalDir::new(&cx.dirs);
    let plan = local.plan()?;
    if args.dry_run {
        return dry_run(cx, &args, plan);
    }
    let _lock = Lock::take(&cx.dirs)?;
    let progress = Progress::new(cx.out.quiet);
    if let Some(plan) = plan.filter(|_| local.is_whole()) {
        return again(cx, &args, &local, &plan, &progress).await;
    }
    if args.node.is_some() {
        return Err(Failure::new(Exit::Failed, "no local mesh").at(local.dir.display().to_string()).next("mesh up"));
    }
    if local.exists() {
        progress.say(&format!("removing what an interrupted start left in {}", local.dir.display()));
        local.stop().await?;
        local.remove()?;
    }
    let host = Local::default();
    let (mut int, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let made = tokio::select! {
        made = Box::pin(make(cx, &args, &local, (&host, &progress))) => made,
        _ = int.recv() => Err(Failure::new(Exit::Interrupted, "interrupted")),
        _ = term.recv() => Err(Failure::new(Exit::Terminated, "terminated")),
    };
    match made {
        Ok(plan) => {
            drop(progress);
            // The logs of an earlier failure have served.
            let _ = std::fs::remove_dir_all(cx.dirs.failed());
            print(cx, &plan)
        }
        Err(failure) => {
            progress.doing("stopping what was started");
            host.stop_started().await;
            Err(clean_up(cx, &local, failure, &progress).await)
        }
    }
}

/// Stops and removes what a failed start left, but keeps its logs.
async fn clean_up(cx: &Cx, local: &LocalDir, failure: Failure, progress: &Progress) -> Failure {
    if !local.exists() {
        return failure;
    }
    let stopped = local.stop().await;
    let logs = cx.dirs.failed();
    local.keep_logs(&logs);
    if let Err(error) = stopped.and_then(|()| local.remove()) {
        progress.say(&error.to_string());
    }
    if logs.exists() { failure.or_next(format!("less {}/*/*.log", logs.display())) } else { failure }
}

fn wanted<'a>(cx: &Cx, args: &'a UpArgs, release: &Release) -> Result<Wanted<'a>> {
    let wrong = |error: mesh_core::id::IdError| Failure::new(Exit::Failed, "cannot name the mesh").why(error);
    let mesh = MeshName::new(format!("local-{:04x}", rand::random::<u16>())).map_err(wrong)?;
    if cx.dirs.config()?.require_signed && release.signed != Signed::Trusted {
        return Err(Failure::new(Exit::Mismatch, format!("refused: {}", release.signed))
            .coded(crate::Code::Bundle)
            .at(cx.dirs.config_file().display().to_string())
            .why("require_signed is set")
            .next("mesh up --bundle DIR, with a bundle that one of trusted_keys signed"));
    }
    Ok(Wanted {
        mesh,
        operator: operator_name(),
        release: release.name(),
        signed: release.signed == Signed::Trusted,
        nodes: args.nodes.unwrap_or(NODES_DEFAULT),
        engines: &args.engines,
    })
}

/// The user's name as far as it fits an identity.
pub(crate) fn operator_name() -> ObjectName {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_default().to_lowercase();
    let legal: String =
        user.chars().filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-').take(63).collect();
    let name = ObjectName::new(legal.trim_start_matches('-'));
    name.unwrap_or_else(|_| ObjectName::new("operator").expect("the word is a legal name"))
}

fn release(cx: &Cx, args: &UpArgs) -> Result<Release> {
    if let Some(dir) = &args.bundle {
        return Release::from_bundle(dir, &cx.dirs.config()?);
    }
    let exe = std::env::current_exe()
        .map_err(|error| Failure::new(Exit::Failed, "cannot find the mesh executable").why(error))?;
    Release::beside(&exe)
}

fn dry_run(cx: &Cx, args: &UpArgs, existing: Option<Plan>) -> Result {
    let plan = match existing {
        Some(plan) => plan,
        None => {
            let release = release(cx, args)?;
            Plan::local(wanted(cx, args, &release)?, &mut PortBlock::claim(&cx.dirs.local())?)?
        }
    };
    if !cx.out.is_for_people() {
        cx.out.value(&plan)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NODE", "STEP", "DETAIL"]);
    for node in &plan.nodes {
        for action in Action::ALL {
            table.row(vec![node.to_string(), action.name().to_owned(), action.detail(&plan, node)]);
        }
    }
    cx.out.table(&table)?;
    Ok(Exit::Done)
}

/// Makes a mesh where there is none.
async fn make(cx: &Cx, args: &UpArgs, local: &LocalDir, (host, progress): (&Local, &Progress)) -> Result<Plan> {
    let end = Instant::now() + cx.global.timeout.unwrap_or(LIMIT);
    progress.doing("checking the binaries");
    let release = release(cx, args)?;
    if release.signed != Signed::Trusted {
        progress.say(&format!("{}, checked by digest only", release.signed));
    }
    let mut ports = PortBlock::claim(&local.dir)?;
    let plan = Plan::local(wanted(cx, args, &release)?, &mut ports)?;
    let now = human::now();
    mesh_proto::files::create_private_dir(&local.dir).map_err(|error| {
        Failure::new(Exit::Failed, "cannot make the mesh's directory").at(local.dir.display().to_string()).why(error)
    })?;
    local.write_plan(&plan)?;
    let root = identity::root(&local.root(), &plan.mesh, now)?;
    progress.say(&format!(
        "development root of {} in {} (mode 0600): for this machine only",
        plan.mesh,
        local.root().display()
    ));
    identity::operator(&local.operator(), &root, &Principal::operator(&plan.mesh, plan.operator.clone()), now)?;
    let gossip_keys = identity::gossip_keys()?;
    let nvml_library = args.nvml_library.as_ref().map(|it| it.display().to_string());
    for action in [Action::Install, Action::Identity, Action::Configure] {
        progress.doing(&format!("{}: {} nodes", action.name(), plan.nodes.len()));
        for node in &plan.nodes {
            progress.detail(&format!("{}: {}", action.name(), node.name));
            let nvml_library = nvml_library.as_deref().filter(|_| node.engine.is_some());
            let job = Job { plan: &plan, release: &release, root: &root, gossip_keys: &gossip_keys, nvml_library };
            steps::run(action, &job, host, node, &Paths::of(&local.dir, &node.name)).await?;
        }
    }
    local.write_context(&plan)?;
    // Only now, so that nobody else gets the ports meanwhile.
    drop(ports);
    progress.doing(&format!("{}: {} nodes", Action::Start.name(), plan.nodes.len()));
    for node in &plan.nodes {
        steps::start(host, &Paths::of(&local.dir, &node.name)).await?;
    }
    let started: Vec<&NodePlan> = plan.nodes.iter().collect();
    let mut ready = Ready { local, plan: &plan, progress, started: &started, begun: Instant::now(), end };
    ready.coordinators().await?;
    ready.initialize(cx.dirs.config()?.require_signed).await?;
    ready.nodes(&plan.nodes.iter().map(|it| it.name.as_str()).collect::<Vec<_>>()).await?;
    ready.served().await?;
    local.write_up(&plan)?;
    Ok(plan)
}

/// A mesh is here already: what stopped is started, and the same is printed.
async fn again(cx: &Cx, args: &UpArgs, local: &LocalDir, plan: &Plan, progress: &Progress) -> Result {
    let end = Instant::now() + cx.global.timeout.unwrap_or(LIMIT);
    if !args.engines.is_empty() || args.nodes.is_some() || args.bundle.is_some() || args.nvml_library.is_some() {
        return Err(Failure::new(
            Exit::Refused,
            format!("mesh {} is there already and was made with other words", plan.mesh),
        )
        .at(local.dir.display().to_string())
        .next("mesh apply -f NODE.yaml changes a node's engines; mesh down removes the mesh"));
    }
    let root = identity::root(&local.root(), &plan.mesh, human::now())?;
    let who = Principal::operator(&plan.mesh, plan.operator.clone());
    if identity::operator(&local.operator(), &root, &who, human::now())? {
        progress.say(&format!(
            "new certificate for {who}, good for {}",
            human::duration(human::ms(identity::OPERATOR_LIFE))
        ));
    }
    let chosen: Vec<&NodePlan> = match &args.node {
        Some(name) => vec![plan.node(name)?],
        None => plan.nodes.iter().collect(),
    };
    let stopped: Vec<&NodePlan> =
        chosen.into_iter().filter(|it| !supervisor::is_running(&Paths::of(&local.dir, &it.name))).collect();
    match (&args.node, stopped.is_empty()) {
        (Some(name), true) => progress.say(&format!("{name} is running already")),
        (None, true) => progress.say(&format!("found mesh {} in {}: it is running", plan.mesh, local.dir.display())),
        (_, false) => {
            start_again(Ready { local, plan, progress, started: &stopped, begun: Instant::now(), end }).await?;
        }
    }
    match &args.node {
        Some(name) => {
            cx.out.say(&format!("{name} is up"));
            if !cx.out.is_for_people() {
                cx.out.value(&up_object(plan))?;
            }
            Ok(Exit::Done)
        }
        None => print(cx, plan),
    }
}

async fn start_again(mut ready: Ready<'_>) -> Result<()> {
    let names: Vec<&str> = ready.started.iter().map(|it| it.name.as_str()).collect();
    ready.progress.say(&format!(
        "found mesh {} in {}: starting {}",
        ready.plan.mesh,
        ready.local.dir.display(),
        names.join(", ")
    ));
    if !ready.plan.signed && ready::requires_signed(ready.local).await {
        return Err(Failure::new(Exit::Mismatch, "refused: no trusted key signed the daemons of this mesh")
            .coded(crate::Code::Bundle)
            .why(format!("policy/{MESH_POLICY} says require_signed"))
            .next("mesh down, then mesh up --bundle DIR"));
    }
    let host = Local::default();
    for node in ready.started {
        steps::start(&host, &Paths::of(&ready.local.dir, &node.name)).await?;
    }
    let logs = format!("less {}/nodes/*/var/log/*.log", ready.local.dir.display());
    ready.nodes(&names).await.map_err(|failure| failure.or_next(logs))
}

fn print(cx: &Cx, plan: &Plan) -> Result {
    if !cx.out.is_for_people() {
        cx.out.value(&up_object(plan))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["NAME", "ROLES", "API", "ENGINE"]);
    for node in &plan.nodes {
        let roles: Vec<String> = node.roles.iter().map(ToString::to_string).collect();
        let engine = node.engine.as_ref().map(|it| match it.standin {
            Some(_) => format!("{} (simulated)", it.url),
            None => format!("{} ({})", it.url, it.kind),
        });
        table.row(vec![node.name.to_string(), roles.join(","), node.api.to_string(), human::or_dash(engine)]);
    }
    cx.out.table(&table)?;
    for router in plan.routers() {
        cx.out.say(&format!("\nthe door is {router}/v1: plain HTTP on loopback, without a key"));
    }
    cx.out.say("next: mesh get nodes, mesh drain node-7, mesh down");
    Ok(Exit::Done)
}
