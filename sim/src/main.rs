//! `mesh-standin`: a simulated inference engine for local meshes and tests.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Parser;
use mesh_sim::engine::Config;
use mesh_sim::standin::{Faults, Options, Standin};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A SIMULATED inference engine: an OpenAI-compatible server with vLLM's metrics and no model behind it.
///
/// Its answers are filler text. Its timing, queue and KV cache follow a model of continuous batching. When it accepts
/// connections it prints one line of JSON on stdout with its address; SIGTERM ends it, after up to 2 s for its streams.
#[derive(Parser)]
#[command(version, about, long_about)]
struct Args {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// File that receives the port once the engine listens
    #[arg(long, value_name = "FILE")]
    port_file: Option<PathBuf>,
    /// Model name to answer to; given again, another name of the same engine
    #[arg(long, value_name = "NAME", default_value = "simulated-model")]
    model: Vec<String>,
    /// Sequences in the batch at once
    #[arg(long, value_name = "N", default_value_t = Config::default().slots)]
    slots: usize,
    /// Requests that may wait behind the batch; one more is answered 503
    #[arg(long, value_name = "N", default_value_t = Config::default().queue)]
    queue: usize,
    /// Tokens the KV cache holds
    #[arg(long, value_name = "N", default_value_t = Config::default().kv_tokens)]
    kv_tokens: u32,
    /// Longest prompt and answer together, in tokens
    #[arg(long, value_name = "N", default_value_t = Config::default().max_model_len)]
    max_model_len: u32,
    /// Prompt tokens computed per second
    #[arg(long, value_name = "N", default_value_t = Config::default().prefill_tokens_per_s)]
    prefill_tokens_per_s: f64,
    /// Time of one iteration, which gives each running sequence one token, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = Config::default().decode_ms)]
    decode_ms: f64,
    /// Divides every duration of the model
    #[arg(long, value_name = "FACTOR", default_value_t = Config::default().speed)]
    speed: f64,
    /// Draws answers, their lengths and the spread of iteration times
    #[arg(long, value_name = "N", default_value_t = Config::default().seed)]
    seed: u64,
    /// What goes wrong from the start, as JSON for POST /standin/faults
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = faults)]
    faults: Faults,
}

fn faults(json: &str) -> Result<Faults, String> {
    Faults::parse(json.as_bytes())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).with_max_level(tracing::Level::INFO).init();
    let stop = stop_on_signal()?;
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("listen on {}", args.listen))?;
    let address = listener.local_addr().context("read the address listened on")?;
    let standin = Standin::new(listener, args.options())?;
    announce(&args, address)?;
    standin.run(stop).await?;
    tracing::info!("simulated engine stopped");
    Ok(())
}

impl Args {
    fn options(&self) -> Options {
        let engine = Config {
            slots: self.slots,
            queue: self.queue,
            kv_tokens: self.kv_tokens,
            max_model_len: self.max_model_len,
            prefill_tokens_per_s: self.prefill_tokens_per_s,
            decode_ms: self.decode_ms,
            speed: self.speed,
            seed: self.seed,
            ..Config::default()
        };
        Options { engine, models: self.model.clone(), faults: self.faults.clone() }
    }
}

/// Returns a token that SIGTERM or SIGINT cancels.
fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("handle SIGINT")?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        stopped.cancel();
    });
    Ok(stop)
}

/// Tells whoever started the engine where it listens.
fn announce(args: &Args, address: SocketAddr) -> anyhow::Result<()> {
    if let Some(file) = &args.port_file {
        write_port(file, address.port()).with_context(|| format!("write the port to {}", file.display()))?;
    }
    let line = serde_json::json!({
        "standin": "mesh-standin",
        "simulated": true,
        "listen": address.to_string(),
        "url": format!("http://{address}"),
        "models": args.model,
        "pid": std::process::id(),
    });
    let mut stdout = std::io::stdout();
    // A reader that has gone already does not keep the engine from serving.
    drop(writeln!(stdout, "{line}").and_then(|()| stdout.flush()));
    tracing::info!(%address, models = ?args.model, "simulated engine listening");
    Ok(())
}

/// Writes the file in one step, so that no reader sees half a number.
fn write_port(file: &Path, port: u16) -> std::io::Result<()> {
    let unfinished = file.with_added_extension("tmp");
    std::fs::write(&unfinished, format!("{port}\n"))?;
    std::fs::rename(unfinished, file)
}
