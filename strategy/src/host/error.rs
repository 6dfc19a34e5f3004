//! Why a module is refused, in words which tell its author what to do.

use crate::host::{MEMORY_BYTES_MAX, MODULE_BYTES_MAX};

/// Why a module cannot be a strategy of this mesh.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// This machine cannot run WASM.
    #[error("the WASM engine cannot start on this machine: {reason}")]
    Engine {
        /// What the engine says.
        reason: String,
    },
    /// Nothing was given.
    #[error("the file is empty; give the `.wasm` file which your build made")]
    Empty,
    /// The module is larger than allowed.
    #[error(
        "the module has {bytes} bytes, at most {MODULE_BYTES_MAX} are accepted; build it with `opt-level = 3`, \
         `lto = true` and `strip = true`, and without data it does not need"
    )]
    TooBig {
        /// Its size.
        bytes: usize,
    },
    /// The bytes are not WASM.
    #[error(
        "not a WASM module: it does not start with the bytes `\\0asm`; give the `.wasm` file which your build made"
    )]
    NotWasm,
    /// The bytes are a component.
    #[error(
        "this is a WASM component, a strategy is a core module; build for `wasm32-unknown-unknown` without a \
         component step"
    )]
    Component,
    /// The file ends early.
    #[error("the module is truncated at byte {offset} ({reason}); copy the file again and compare its SHA-256")]
    Truncated {
        /// Where it ends.
        offset: usize,
        /// What the parser says.
        reason: String,
    },
    /// The bytes are no valid module, or use a feature which is off.
    #[error(
        "the module is not valid at byte {offset}: {reason}; only simd128, bulk memory, multi-value, reference \
         types, sign extension and saturating conversion are allowed beyond WASM 1.0"
    )]
    Malformed {
        /// Where.
        offset: usize,
        /// What the parser says.
        reason: String,
    },
    /// The module wants the system.
    #[error(
        "the module wants WASI (import `{module}.{name}`), but a strategy has no clock, files, network or random \
         numbers; build it for `wasm32-unknown-unknown` and take time and seed from the request"
    )]
    WantsWasi {
        /// The module it imports from.
        module: String,
        /// What it imports.
        name: String,
    },
    /// The module imports something else.
    #[error("the module imports `{module}.{name}`; a strategy imports nothing, remove what needs it")]
    Import {
        /// The module it imports from.
        module: String,
        /// What it imports.
        name: String,
    },
    /// A required export is absent.
    #[error(
        "the module does not export `{export}`; use the `strategy!` macro of mesh-sdk, or see its README for the exports"
    )]
    MissingExport {
        /// The export.
        export: &'static str,
    },
    /// An export is of the wrong type.
    #[error("the export `{export}` must be {expected}; see the README of mesh-sdk for the exports")]
    WrongExport {
        /// The export.
        export: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The section that describes the strategy is absent.
    #[error(
        "the module has no custom section `mesh:strategy`; use the `strategy!` macro of mesh-sdk, and do not strip custom sections"
    )]
    NoManifest,
    /// The section that describes the strategy is wrong.
    #[error("the custom section `mesh:strategy` is wrong: {reason}")]
    BadManifest {
        /// What is wrong, and what it must be.
        reason: String,
    },
    /// The strategy needs another version of the contract.
    #[error(
        "the strategy needs contract {wanted}, this mesh speaks 0.1; build it with the mesh-sdk of this mesh, or upgrade the mesh"
    )]
    WrongAbi {
        /// What it needs.
        wanted: String,
    },
    /// The memory is larger than allowed.
    #[error(
        "the module declares {bytes} bytes of memory, at most {MEMORY_BYTES_MAX} are allowed; hold fewer targets, or \
         link with `-C link-arg=-zstack-size=65536`"
    )]
    MemoryTooBig {
        /// What it declares.
        bytes: u64,
    },
    /// The engine cannot compile it.
    #[error("the module cannot be compiled: {reason}")]
    Compile {
        /// What the engine says.
        reason: String,
    },
    /// No instance could be made.
    #[error("no instance could be made: {reason}")]
    Instantiate {
        /// What the engine says.
        reason: String,
    },
    /// `mesh_init` failed.
    #[error("`mesh_init` failed: {reason}; it must return 0 within {fuel} units of fuel", fuel = super::INIT_FUEL)]
    Init {
        /// How.
        reason: String,
    },
    /// `mesh_layout` gives something unusable.
    #[error("`mesh_layout` is wrong: {reason}")]
    Layout {
        /// What is wrong.
        reason: String,
    },
    /// A conformance probe failed.
    #[error("the conformance probe `{probe}` failed: {problem}")]
    Probe {
        /// Which.
        probe: &'static str,
        /// What happened, and what to do.
        problem: String,
    },
}
