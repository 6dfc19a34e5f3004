//! Runs strategies that came as WASM: checks a module, compiles it, and makes metered instances of it.
//!
//! A strategy is a core module without any import, so it has no clock, no network and no chance of its own; fuel
//! bounds every call and an epoch stands behind the fuel. The state of the targets is resident in the guest's memory
//! and written there by the host, row by row. `docs` of the guest's side: `sdk/README.md`.

mod abi;
mod check;
mod error;
mod guest;
mod manifest;
mod probe;

use std::sync::Arc;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, Module, OptLevel, PoolingAllocationConfig};

pub use error::LoadError;
pub use manifest::Manifest;

use crate::Strategy;

/// How often the owner of a [`Host`] calls [`Host::increment_epoch`], in milliseconds, from a thread of its own.
pub const EPOCH_TICK_MS: u64 = 50;
/// Epochs after which a call is stopped: at least 100 ms, whatever the phase of the ticks.
const EPOCH_TICKS: u64 = 3;
/// The largest module that is accepted, in bytes.
pub const MODULE_BYTES_MAX: usize = 1 << 20;
/// The largest memory of one instance, in bytes.
pub const MEMORY_BYTES_MAX: usize = 1 << 20;
/// The most elements of a guest's table.
const TABLE_ELEMENTS_MAX: usize = 4_096;
/// Fuel of `mesh_init` and of a start function.
const INIT_FUEL: u64 = 30_000_000;
/// Fuel of one decision: at least this, and so much a row.
const DECIDE_FUEL: (u64, u64) = (75_000, 40);

/// Returns the fuel of one `mesh_decide` or `mesh_observe` call with `rows` targets.
#[must_use]
pub fn call_fuel(rows: usize) -> u64 {
    DECIDE_FUEL.0.max(DECIDE_FUEL.1 * rows as u64)
}

/// What a host must know at its start.
#[derive(Clone, Copy, Debug)]
pub struct HostConfig {
    /// The most instances that live at once, standbys included.
    pub instances: u32,
}

/// Compiles strategies and holds what their instances share; cheap to clone.
#[derive(Clone)]
pub struct Host {
    engine: Engine,
    pooled: bool,
}

impl Host {
    /// Makes a host whose instances come from a pool; where the address space for the pool is refused, each instance
    /// gets memory of its own.
    ///
    /// # Errors
    /// Returns [`LoadError::Engine`] when this machine cannot run WASM at all.
    pub fn new(config: HostConfig) -> Result<Self, LoadError> {
        if let Ok(engine) = Engine::new(&engine_config(Some(config.instances))) {
            return Ok(Self { engine, pooled: true });
        }
        Self::unpooled()
    }

    /// Makes a host without a pool, for the few instances of a check.
    fn unpooled() -> Result<Self, LoadError> {
        let engine = Engine::new(&engine_config(None)).map_err(|error| LoadError::Engine { reason: text(&error) })?;
        Ok(Self { engine, pooled: false })
    }

    /// Says whether instances come from a pool.
    #[must_use]
    pub const fn is_pooled(&self) -> bool {
        self.pooled
    }

    /// Moves the clock behind the fuel by one tick; see [`EPOCH_TICK_MS`].
    pub fn increment_epoch(&self) {
        self.engine.increment_epoch();
    }

    /// Checks a module, compiles it and runs the conformance probes; takes milliseconds to tenths of a second.
    ///
    /// # Errors
    /// Returns the first rule which the module breaks, in words for its author.
    pub fn load(&self, bytes: &[u8]) -> Result<Plugin, LoadError> {
        let manifest = check::structure(bytes)?;
        let digest = digest(bytes);
        let module =
            Module::from_binary(&self.engine, bytes).map_err(|error| LoadError::Compile { reason: text(&error) })?;
        let mut plugin =
            Plugin { module, checked: Arc::new(Checked { digest, bytes: bytes.len(), manifest, fuel: Vec::new() }) };
        let fuel = probe::run(&plugin)?;
        plugin.checked = Arc::new(Checked { fuel, ..Checked::clone(&plugin.checked) });
        Ok(plugin)
    }
}

/// What a check found out about a module that passed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Checked {
    /// SHA-256 of the module, in lower-case hex.
    pub digest: String,
    /// The module's size.
    pub bytes: usize,
    /// What the module says about itself.
    pub manifest: Manifest,
    /// Fuel of one decision: pairs of targets and fuel, for as many targets as the strategy can hold.
    pub fuel: Vec<(usize, u64)>,
}

/// A module that passed, compiled; cheap to clone and shared by all threads.
#[derive(Clone)]
pub struct Plugin {
    module: Module,
    checked: Arc<Checked>,
}

impl Plugin {
    /// Returns what the check found out.
    #[must_use]
    pub fn checked(&self) -> &Checked {
        &self.checked
    }

    /// Makes an instance, with an empty table; tens of microseconds, so done off the request path.
    ///
    /// # Errors
    /// Returns why the module did not start, or [`LoadError::Instantiate`] when the pool is used up.
    pub fn instance(&self, seed: u64) -> Result<Box<dyn Strategy>, LoadError> {
        Ok(Box::new(self.guest(seed)?))
    }

    fn guest(&self, seed: u64) -> Result<guest::Guest, LoadError> {
        guest::Guest::new(&self.module, &self.checked.manifest, seed)
    }
}

/// Checks a module as every router does before it loads it.
///
/// # Errors
/// Returns the first rule which the module breaks, in words for its author.
pub fn check(bytes: &[u8]) -> Result<Checked, LoadError> {
    Ok(Host::unpooled()?.load(bytes)?.checked().clone())
}

/// Returns the SHA-256 of a module in lower-case hex, the name under which it is stored.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        hex
    })
}

/// Returns the engine's settings; `pool` is the number of instances to reserve address space for.
fn engine_config(pool: Option<u32>) -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_nan_canonicalization(false)
        .wasm_backtrace_max_frames(None)
        .wasm_simd(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_stack_switching(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .memory_may_move(false)
        .concurrency_support(false);
    match pool {
        Some(instances) => {
            // One more for the probes of the next module, which run while every worker has its own.
            let instances = instances.saturating_add(4);
            let mut pool = PoolingAllocationConfig::new();
            pool.total_core_instances(instances)
                .total_memories(instances)
                .total_tables(instances)
                .max_memory_size(MEMORY_BYTES_MAX)
                .table_elements(TABLE_ELEMENTS_MAX)
                .linear_memory_keep_resident(MEMORY_BYTES_MAX);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
        }
        None => {
            // Small reservations, for machines that limit address space; costs a bounds check an access.
            config.memory_reservation(MEMORY_BYTES_MAX as u64).memory_guard_size(1 << 16);
        }
    }
    config
}

/// Renders an error of the engine with its causes.
fn text(error: &wasmtime::Error) -> String {
    format!("{error:#}")
}
