//! The custom section `mesh:strategy`: what a module says about itself, readable without running it.

use serde::{Deserialize, Serialize};

use super::LoadError;
use crate::Column;

/// The name of the custom section.
pub(super) const SECTION: &str = "mesh:strategy";
/// The contract which this host speaks, as major and minor.
pub(super) const ABI: (u32, u32) = (0, 1);
const NAME_CHARS_MAX: usize = 63;

/// What a module says about itself; unknown members are left for newer hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The strategy's name: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// The strategy's own version.
    pub version: String,
    /// The contract it needs, `major.minor`.
    pub abi: String,
    /// What it decides; 0.1 knows `route`.
    pub kinds: Vec<String>,
    /// The ids of the columns it wants.
    pub columns: Vec<u32>,
    /// The most targets it can hold.
    pub cap_targets: u32,
}

/// Reads the section.
pub(super) fn parse(section: &[u8]) -> Result<Manifest, LoadError> {
    let bad = |reason: String| LoadError::BadManifest { reason };
    let manifest: Manifest =
        serde_json::from_slice(section).map_err(|error| bad(format!("it is not the JSON of a manifest: {error}")))?;
    let label = |text: &str| {
        (1..=NAME_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.+".contains(&byte))
    };
    for (member, value) in [("name", &manifest.name), ("version", &manifest.version)] {
        if !label(value) {
            let rule = "1 to 63 lower-case letters, digits, `-`, `_`, `.` and `+`";
            return Err(bad(format!("`{member}` must be {rule}, not {value:?}")));
        }
    }
    abi(&manifest.abi)?;
    if !manifest.kinds.iter().any(|kind| kind == "route") {
        return Err(bad(format!("`kinds` must contain \"route\", not only {:?}", manifest.kinds)));
    }
    if let Some(id) = manifest.columns.iter().find(|id| Column::from_id(**id).is_none()) {
        return Err(bad(format!("column {id} is not known; contract 0.1 has columns 0 to 14")));
    }
    if manifest.cap_targets == 0 {
        return Err(bad("`cap_targets` must be at least 1".to_owned()));
    }
    Ok(manifest)
}

/// Checks a contract version: the same major, a minor which this host knows.
fn abi(wanted: &str) -> Result<(), LoadError> {
    let number = |text: &str| text.parse::<u32>().ok();
    let parts = wanted.split_once('.').and_then(|(major, minor)| Some((number(major)?, number(minor)?)));
    match parts {
        Some((major, minor)) if major == ABI.0 && minor <= ABI.1 => Ok(()),
        Some((_, _)) => Err(LoadError::WrongAbi { wanted: wanted.to_owned() }),
        None => Err(LoadError::BadManifest { reason: format!("`abi` must be like \"0.1\", not {wanted:?}") }),
    }
}
