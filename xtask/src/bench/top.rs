//! `mesh top`: the time of its frames beside the drawing library's own table, and what the real program costs when idle.

use std::{
    io::Read,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};
use serde_json::{Value, json};

use super::{as_f64, cell, keep, process, profile};
use crate::shell;

const NODES: &str = "10000";
/// The fleet is made and drawn once before the measurement begins.
const SETTLE: Duration = Duration::from_secs(5);
/// What the screen promises: memory in MiB, and CPU in percent of one core.
const BARS: (f64, f64) = (64.0, 2.0);

/// Measures frames in memory, then the program itself in a terminal of 120x40.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
pub(crate) fn run(binaries: &Path, seconds: u32) -> Result<()> {
    let program = shell::example(binaries, "top_bench");
    let text = shell::output(Command::new(program).args(["--nodes", NODES]))?;
    let seen: Value = serde_json::from_str(&text).context("read what top_bench measured")?;
    frames(&seen, &profile(binaries));
    let idle = idle(&binaries.join("mesh"), seconds)?;
    println!("Raw lines: {}", keep("top", &[seen, idle])?.display());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn frames(seen: &Value, profile: &str) {
    println!("\n## Dashboard: {} nodes, {} GPUs, {profile} build\n", seen["nodes"], seen["gpus"]);
    println!("| screen | size | p50 ms | p99 ms | allocations a frame | bytes a frame |\n|---|---|---|---|---|---|");
    let rows = |list: &Value, name: &str| {
        for row in list.as_array().into_iter().flatten() {
            let name = row["screen"].as_str().unwrap_or(name);
            let fields = ["size", "p50_ms", "p99_ms", "allocations_per_frame", "bytes_per_frame"];
            println!("| {name} | {} |", fields.map(|field| cell(&row[field])).join(" | "));
        }
    };
    rows(&seen["screens"], "?");
    rows(&seen["peer_library_table"], "the library's table over all rows");
    println!(
        "\nTaking in the whole picture: {} ms. The peer draws the same rows in the same run.",
        seen["update_full_picture_ms"]
    );
}

/// Runs the program in a terminal and reads what it costs while nobody types.
#[expect(clippy::print_stdout, reason = "this is what the command is for")]
fn idle(mesh: &Path, seconds: u32) -> Result<Value> {
    let size = PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 };
    let pty = native_pty_system().openpty(size).context("open a terminal")?;
    let mut command = CommandBuilder::new(mesh);
    command.args(["top", "--demo", NODES]);
    [("TERM", "xterm-256color"), ("LANG", "C.UTF-8")].iter().for_each(|(name, value)| command.env(name, value));
    let mut program = Running(pty.slave.spawn_command(command).context("start mesh top")?);
    drop(pty.slave);
    let mut reader = pty.master.try_clone_reader().context("read the terminal")?;
    let written = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&written);
    thread::spawn(move || {
        let mut bytes = [0; 65_536];
        while let Ok(n @ 1..) = reader.read(&mut bytes) {
            counted.fetch_add(n as u64, Ordering::Relaxed);
        }
    });
    thread::sleep(SETTLE);
    ensure!(program.0.try_wait().context("look at mesh top")?.is_none(), "mesh top has ended");
    let id = program.0.process_id().context("mesh top has no process id")?;
    let (cpu_us, bytes, begun) = (process::cpu_us(id), written.load(Ordering::Relaxed), Instant::now());
    thread::sleep(Duration::from_secs(seconds.into()));
    let elapsed_us = as_f64(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX));
    let percent = as_f64(process::cpu_us(id).saturating_sub(cpu_us)) / elapsed_us * 100.0;
    let bytes_s = as_f64(written.load(Ordering::Relaxed) - bytes) / elapsed_us * 1e6;
    let rss = process::memory(id).context("mesh top has ended")?.rss;
    println!("\n`mesh top --demo {NODES}` in a terminal of 120x40, {seconds} s without a key, data every second:\n");
    println!("| what | measured | bar |\n|---|---|---|");
    println!("| RSS | {rss:.1} MiB | {} MiB |", BARS.0);
    println!("| CPU | {percent:.2} % of one core | {} % |", BARS.1);
    println!("| written to the terminal | {bytes_s:.0} B/s | – |");
    println!("\nThe simulated fleet is made by the same process: a real mesh's data comes from elsewhere.");
    Ok(json!({"rss_mib": rss, "cpu_percent": percent, "bytes_per_s": bytes_s, "seconds": seconds}))
}

/// The program; dropping it ends it.
struct Running(Box<dyn Child + Send + Sync>);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
