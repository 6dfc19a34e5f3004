//! The commands: one file a noun. This one starts what all of them need.

pub(crate) mod apply;
pub(crate) mod bootstrap;
pub(crate) mod cert;
pub(crate) mod check;
pub(crate) mod cluster;
pub(crate) mod columns;
pub(crate) mod completion;
pub(crate) mod context;
pub(crate) mod cordon;
pub(crate) mod doctor;
pub(crate) mod down;
pub(crate) mod drain;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod init;
pub(crate) mod logs;
pub(crate) mod man;
pub(crate) mod nodes;
pub(crate) mod playbook;
pub(crate) mod progress;
pub(crate) mod reset;
pub(crate) mod runs;
pub(crate) mod strategy;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod up;
pub(crate) mod version;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::{
    Exit, Failure, Result,
    args::{Cli, Command, Global},
    client::Session,
    context::Dirs,
    output::Output,
};

/// What every command is given.
pub(crate) struct Cx {
    pub(crate) global: Global,
    pub(crate) out: Output,
    pub(crate) dirs: Dirs,
}

impl Cx {
    /// Opens the way to the mesh of the chosen context.
    pub(crate) async fn session(&self) -> Result<Session> {
        let context = self.dirs.context(self.global.context.as_deref())?;
        let mut session = Session::open(context, self.global.endpoint.as_deref(), self.global.timeout)?;
        session.renew_if_due().await;
        Ok(session)
    }

    /// Whether a person can be asked.
    pub(crate) fn can_ask(&self) -> bool {
        !self.global.no_input && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks before something is destroyed; without a terminal only `--yes` goes on.
    pub(crate) fn confirm(&self, question: &str) -> Result<()> {
        if self.global.yes {
            return Ok(());
        }
        if !self.can_ask() {
            return Err(Failure::new(Exit::Declined, question.to_owned())
                .why("this destroys something, and nobody can be asked here")
                .next("the same command with --yes"));
        }
        let answer = self.ask(&format!("{question} [y/N]"))?;
        if matches!(answer.as_str(), "y" | "Y" | "yes") {
            return Ok(());
        }
        Err(Failure::new(Exit::Declined, "declined: nothing was changed"))
    }

    /// Asks for one line of text.
    pub(crate) fn ask(&self, question: &str) -> Result<String> {
        use std::io::Write;
        let mut err = std::io::stderr().lock();
        write!(err, "{question} ")?;
        err.flush()?;
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

/// Runs one parsed command line.
pub(crate) fn run(cli: Cli) -> Result {
    start_logs(cli.global.verbose);
    let out = Output::new(cli.global.output, !cli.global.no_headers, cli.global.quiet, cli.global.color);
    let cx = Cx { dirs: Dirs::from_env()?, out, global: cli.global };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, "cannot start").why(error))?;
    runtime.block_on(Box::pin(dispatch(&cx, cli.command)))
}

async fn dispatch(cx: &Cx, command: Command) -> Result {
    match command {
        Command::Up(args) => Box::pin(up::run(cx, args)).await,
        Command::Bootstrap(args) => Box::pin(bootstrap::run(cx, *args)).await,
        Command::Reset(args) => Box::pin(reset::run(cx, args)).await,
        Command::Down(args) => Box::pin(down::run(cx, args)).await,
        Command::Get(args) => Box::pin(get::run(cx, args)).await,
        Command::Describe(args) => Box::pin(get::describe(cx, args)).await,
        Command::Apply(args) => Box::pin(apply::run(cx, args)).await,
        Command::Diff(args) => Box::pin(apply::diff(cx, args)).await,
        Command::Delete(args) => Box::pin(apply::delete(cx, args)).await,
        Command::Cordon(args) => Box::pin(cordon::cordon(cx, args)).await,
        Command::Uncordon(args) => Box::pin(cordon::uncordon(cx, args)).await,
        Command::Drain(args) => Box::pin(drain::run(cx, args)).await,
        Command::Doctor => Box::pin(doctor::run(cx)).await,
        Command::Events(args) => Box::pin(events::run(cx, args)).await,
        Command::Logs(args) => Box::pin(logs::run(cx, args)).await,
        Command::Top(args) => Box::pin(top::run(cx, args)).await,
        Command::Strategy(command) => Box::pin(strategy::run(cx, command)).await,
        Command::Token(command) => Box::pin(token::run(cx, command)).await,
        Command::Cert(command) => Box::pin(cert::run(cx, command)).await,
        Command::Cluster(command) => Box::pin(cluster::run(cx, command)).await,
        Command::Playbook(command) => Box::pin(playbook::run(cx, command)).await,
        Command::Context(command) => context::run(cx, command),
        Command::Check(args) => Box::pin(check::run(cx, args)).await,
        Command::Init(args) => init::run(cx, args),
        Command::Explain(args) => explain::run(cx, args),
        Command::Completion(args) => completion::run(cx, args),
        Command::Man(args) => man::run(cx, args),
        Command::Version => version::run(cx),
    }
}

fn start_logs(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => "mesh_cli=debug,mesh_proto=debug",
        _ => "debug",
    };
    // Refused only when a log was started before, which serves as well.
    let _ = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(level)).with_writer(std::io::stderr).try_init();
}
