//! `mesh-agentd`: reads the command line and hands over.

use std::{io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use mesh_agentd::{
    LogFailed,
    config::Config,
    identity::{
        join::{self, JoinArgs},
        keygen::{self, KeygenArgs},
        show::{self, ShowArgs},
    },
};
use mesh_daemon::{Exit, Shutdown, config, log, supervise};
use mesh_proto::client;

/// Threads of the agent, raft's and blocking work apart: it is small, and a host's cores are there for others.
const THREADS: usize = 2;

/// The agent of a node in a mesh.
#[derive(Parser)]
#[command(name = "mesh-agentd", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the agent until SIGTERM.
    Run {
        /// Its configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Make a key on this host and print the request for its certificate.
    Keygen(KeygenArgs),
    /// Say whose key and certificate are in a directory, and until when.
    Identity(ShowArgs),
    /// Take this host into a mesh, with a token of `mesh token create`.
    Join(JoinArgs),
    /// Say whether engines answer from this host.
    Dial {
        /// `http://HOST:PORT` each.
        #[arg(required = true, value_name = "URL")]
        urls: Vec<String>,
    },
    /// Start a host's processes and keep them running.
    Supervise {
        /// Which ones.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run { config } => run(&config).into(),
        Command::Supervise { config } => supervise::run(&config).into(),
        Command::Keygen(args) => told(keygen::run(&args)).into(),
        Command::Identity(args) => told(show::run(&args).map(|it| it + "\n")).into(),
        Command::Join(args) => join(&args),
        Command::Dial { urls } => dial(&urls),
    }
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn told(answer: anyhow::Result<String>) -> Exit {
    match answer {
        Ok(answer) => {
            print!("{answer}");
            Exit::Done
        }
        Err(error) => refuse(&format!("{error:#}"), Exit::Failed),
    }
}

#[expect(clippy::print_stdout, reason = "where to go on is what was asked for")]
fn join(args: &JoinArgs) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&format!("cannot start: {error}"), Exit::Failed).into(),
    };
    match runtime.block_on(join::run(args)) {
        Ok(joined) => {
            println!("joined mesh {} as {}", joined.mesh, joined.id);
            println!("next: mesh-agentd run --config {}", joined.config.display());
            if let Some(router) = &joined.router {
                println!("and then: mesh-routerd --config {}", router.display());
            } else if !args.router.is_empty() {
                println!("note: the token makes this host no router: what was said of one has no effect");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            let code = error.exit_code();
            refuse(&client::sentence(&error), Exit::Failed);
            code.into()
        }
    }
}

#[expect(clippy::print_stdout, reason = "who answers is what was asked for")]
fn dial(urls: &[String]) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            print!("{}", runtime.block_on(mesh_agentd::dial::run(urls)));
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&format!("cannot start: {error}"), Exit::Failed).into(),
    }
}

fn run(path: &std::path::Path) -> Exit {
    let loaded = config::load::<Config>(path).map_err(|error| error.to_string());
    let checked = loaded.and_then(|it| it.check().map(|()| it).map_err(|error| format!("{}: {error}", path.display())));
    let config = match checked {
        Ok(config) => config,
        Err(error) => return refuse(&error, Exit::Config),
    };
    if let Err(error) = log::init(&filter(&config.log), log::Format::Text) {
        return refuse(&format!("{}: {error}", path.display()), Exit::Config);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&format!("cannot start threads: {error}"), Exit::Failed),
    };
    let ran = runtime.block_on(async { mesh_agentd::run(config, Shutdown::on_signals()?).await });
    match ran {
        Ok(()) => Exit::Done,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the agent ends");
            if error.is::<LogFailed>() || is_disk(&error) { Exit::LogIo } else { Exit::Failed }
        }
    }
}

/// Whether the state directory takes no writes: full, over its quota or limit, read-only.
fn is_disk(error: &anyhow::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let full = |it: &io::Error| matches!(it.kind(), FileTooLarge | QuotaExceeded | ReadOnlyFilesystem | StorageFull);
    error.chain().any(|it| it.downcast_ref::<io::Error>().is_some_and(full))
}

/// Consensus repeats each failed heartbeat as a warning, ten a second; who is missing is told once by our own events.
fn filter(wanted: &str) -> String {
    if wanted.contains("openraft") { wanted.to_owned() } else { format!("{wanted},openraft=error") }
}

#[expect(clippy::print_stderr, reason = "there is no log before the configuration is read")]
fn refuse(error: &str, exit: Exit) -> Exit {
    eprintln!("mesh-agentd: {error}");
    exit
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn a_disk_that_takes_no_writes_is_told_from_other_faults() {
        let check = |kind: io::ErrorKind, expected: bool| {
            let error = anyhow::Error::from(io::Error::from(kind)).context("start gossip");
            assert_eq!(is_disk(&error), expected, "{kind}");
        };
        check(io::ErrorKind::StorageFull, true);
        check(io::ErrorKind::ReadOnlyFilesystem, true);
        check(io::ErrorKind::FileTooLarge, true);
        check(io::ErrorKind::AddrInUse, false);
        check(io::ErrorKind::NotFound, false);
    }

    #[test]
    fn the_command_line_is_read_as_documented() {
        Cli::command().debug_assert();
        let check = |line: &str, legal: bool| {
            let parsed = Cli::try_parse_from(line.split(' '));
            assert_eq!(parsed.is_ok(), legal, "{line}: {:?}", parsed.err().map(|it| it.to_string()));
        };
        check("mesh-agentd run --config agentd.toml", true);
        check("mesh-agentd run", false);
        check("mesh-agentd keygen --dir pki --id spiffe://lab/node/n", true);
        check("mesh-agentd keygen --dir pki --ca lab", true);
        check("mesh-agentd keygen --dir pki", false);
        check("mesh-agentd keygen --dir pki --ca lab --id spiffe://lab/node/n", false);
        check("mesh-agentd identity --dir pki", true);
        check("mesh-agentd identity", false);
        check("mesh-agentd join mesh-join.v1.a.b.c --at 10.0.0.1:7443 --node gpu-1", true);
        check("mesh-agentd join - --at 10.0.0.1:7443 --node r --router-listen 0.0.0.0:80 --router-auth none", true);
        check("mesh-agentd join - --at 10.0.0.1:7443 --node r --router-auth some", false);
        check("mesh-agentd join mesh-join.v1.a.b.c", false);
        check("mesh-agentd dial http://10.0.0.1:8000 http://10.0.0.2:8000", true);
        check("mesh-agentd dial", false);
        check("mesh-agentd supervise --config supervise.toml", true);
    }
}
