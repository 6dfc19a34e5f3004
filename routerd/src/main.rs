//! The executable: reads flags, starts logs and the control runtime, runs the router.

use std::process::ExitCode;

use clap::Parser as _;
use mesh_daemon::{Exit, Shutdown, log};
use mesh_routerd::{Args, Config};

fn main() -> ExitCode {
    let config = match Config::load(&Args::parse()) {
        Ok(config) => config,
        Err(error) => {
            // Logs have not started: their filter is in the configuration.
            #[expect(clippy::print_stderr, reason = "the configuration says how to log, and it is wrong")]
            {
                eprintln!("mesh-routerd: {error}");
            }
            return Exit::Config.into();
        }
    };
    if let Err(error) = log::init(&config.log, log::Format::Text) {
        #[expect(clippy::print_stderr, reason = "logs did not start")]
        {
            eprintln!("mesh-routerd: {error}");
        }
        return Exit::Config.into();
    }
    match serve(config) {
        Ok(()) => Exit::Done.into(),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "router ends");
            Exit::Failed.into()
        }
    }
}

fn serve(config: Config) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build()?;
    runtime.block_on(async { mesh_routerd::run(config, Shutdown::on_signals()?).await })
}
