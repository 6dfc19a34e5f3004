//! What can be said about a module without running or compiling it.

use wasmparser::{Encoding, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType, Validator, WasmFeatures};

use super::{LoadError, MEMORY_BYTES_MAX, MODULE_BYTES_MAX, Manifest, manifest};

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;
const PAGE_BYTES: u64 = 65_536;
const MAGIC: &[u8] = b"\0asm";

/// The features beyond WASM 1.0; the engine has the same ones on.
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::GC_TYPES);

/// A function which the contract knows.
struct Signature {
    export: &'static str,
    required: bool,
    params: &'static [ValType],
    results: &'static [ValType],
    expected: &'static str,
}

const FUNCTIONS: [Signature; 5] = [
    Signature { export: "mesh_abi", required: true, params: &[], results: &[I32], expected: "a function () -> i32" },
    Signature {
        export: "mesh_init",
        required: true,
        params: &[I32, I32, I64, I64],
        results: &[I32],
        expected: "a function (i32, i32, i64, i64) -> i32",
    },
    Signature { export: "mesh_layout", required: true, params: &[], results: &[I32], expected: "a function () -> i32" },
    Signature {
        export: "mesh_decide",
        required: true,
        params: &[I32, I32],
        results: &[I32],
        expected: "a function (i32, i32) -> i32",
    },
    Signature {
        export: "mesh_observe",
        required: false,
        params: &[I32],
        results: &[I32],
        expected: "a function (i32) -> i32",
    },
];

/// What the sections hold, as far as the contract cares.
#[derive(Default)]
struct Sections<'a> {
    imports: Vec<(&'a str, &'a str)>,
    exports: Vec<(&'a str, ExternalKind, u32)>,
    types: Vec<Option<FuncType>>,
    functions: Vec<u32>,
    memory_pages: Option<u64>,
    manifest: Option<&'a [u8]>,
}

/// Checks a module's size, form, imports, exports and description.
pub(super) fn structure(bytes: &[u8]) -> Result<Manifest, LoadError> {
    if bytes.is_empty() {
        return Err(LoadError::Empty);
    }
    if bytes.len() > MODULE_BYTES_MAX {
        return Err(LoadError::TooBig { bytes: bytes.len() });
    }
    if !bytes.starts_with(&MAGIC[..bytes.len().min(MAGIC.len())]) {
        return Err(LoadError::NotWasm);
    }
    let sections = read(bytes)?;
    if let Some((module, name)) = sections.imports.first() {
        let (module, name) = ((*module).to_owned(), (*name).to_owned());
        let wasi = module.starts_with("wasi");
        return Err(if wasi { LoadError::WantsWasi { module, name } } else { LoadError::Import { module, name } });
    }
    Validator::new_with_features(FEATURES).validate_all(bytes).map_err(|error| refused(&error))?;
    let manifest = manifest::parse(sections.manifest.ok_or(LoadError::NoManifest)?)?;
    exports(&sections)?;
    let memory_bytes = sections.memory_pages.unwrap_or(0).saturating_mul(PAGE_BYTES);
    if memory_bytes > MEMORY_BYTES_MAX as u64 {
        return Err(LoadError::MemoryTooBig { bytes: memory_bytes });
    }
    Ok(manifest)
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the sections which the contract does not care about")]
fn read(bytes: &[u8]) -> Result<Sections<'_>, LoadError> {
    let mut sections = Sections::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| refused(&error))? {
            Payload::Version { encoding: Encoding::Component, .. } => return Err(LoadError::Component),
            Payload::ImportSection(reader) => {
                for import in reader.into_imports() {
                    let import = import.map_err(|error| refused(&error))?;
                    sections.imports.push((import.module, import.name));
                    if let TypeRef::Func(of_type) = import.ty {
                        sections.functions.push(of_type);
                    }
                }
            }
            Payload::TypeSection(reader) => {
                for group in reader {
                    let group = group.map_err(|error| refused(&error))?;
                    sections.types.extend(group.into_types().map(|of| {
                        if let wasmparser::CompositeInnerType::Func(function) = of.composite_type.inner {
                            Some(function)
                        } else {
                            None
                        }
                    }));
                }
            }
            Payload::FunctionSection(reader) => {
                for of_type in reader {
                    sections.functions.push(of_type.map_err(|error| refused(&error))?);
                }
            }
            Payload::MemorySection(reader) => {
                for memory in reader {
                    sections.memory_pages = Some(memory.map_err(|error| refused(&error))?.initial);
                }
            }
            Payload::ExportSection(reader) => {
                for export in reader {
                    let export = export.map_err(|error| refused(&error))?;
                    sections.exports.push((export.name, export.kind, export.index));
                }
            }
            Payload::CustomSection(section) if section.name() == manifest::SECTION => {
                sections.manifest = Some(section.data());
            }
            _ => {}
        }
    }
    Ok(sections)
}

/// Checks that what the contract needs is exported, each as what it must be.
fn exports(sections: &Sections<'_>) -> Result<(), LoadError> {
    let find = |name: &str| sections.exports.iter().find(|export| export.0 == name);
    match find("memory") {
        Some((_, ExternalKind::Memory, _)) => {}
        Some(_) => return Err(LoadError::WrongExport { export: "memory", expected: "the module's memory" }),
        None => return Err(LoadError::MissingExport { export: "memory" }),
    }
    for function in &FUNCTIONS {
        let Some((_, kind, index)) = find(function.export) else {
            if function.required {
                return Err(LoadError::MissingExport { export: function.export });
            }
            continue;
        };
        let of_type = sections
            .functions
            .get(*index as usize)
            .and_then(|of_type| sections.types.get(*of_type as usize)?.as_ref())
            .filter(|_| *kind == ExternalKind::Func);
        if of_type.is_none_or(|of| of.params() != function.params || of.results() != function.results) {
            return Err(LoadError::WrongExport { export: function.export, expected: function.expected });
        }
    }
    Ok(())
}

/// Renders a parser's error: a file that ends early has its own.
fn refused(error: &wasmparser::Error) -> LoadError {
    let (offset, reason) = (error.offset(), error.message().to_owned());
    if reason.starts_with("unexpected end") {
        LoadError::Truncated { offset, reason }
    } else {
        LoadError::Malformed { offset, reason }
    }
}
