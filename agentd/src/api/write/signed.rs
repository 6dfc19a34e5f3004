//! Signatures on strategies: Ed25519 over the 32 bytes of the module's SHA-256.

use mesh_core::{
    id::Digest,
    kind::{PolicySpec, StrategySpec},
};
use ring::signature::{ED25519, UnparsedPublicKey};

/// Whether the policy lets a strategy in.
///
/// # Errors
/// What is missing, in words.
pub(super) fn check(policy: &PolicySpec, strategy: &StrategySpec) -> Result<(), String> {
    if !policy.require_signed {
        return Ok(());
    }
    let Some(signature) = &strategy.signature else {
        return Err("the mesh's policy takes signed strategies only, and this one has no signature".to_owned());
    };
    let signature = unhex(signature).ok_or_else(|| "the signature is not hexadecimal".to_owned())?;
    let Digest(message) = strategy.digest;
    let verifies = |key: Vec<u8>| UnparsedPublicKey::new(&ED25519, key).verify(&message, &signature).is_ok();
    if policy.trusted_keys.iter().filter_map(|key| unhex(key)).any(verifies) {
        return Ok(());
    }
    Err(format!("no key of the policy's {} trusted_keys has made this signature", policy.trusted_keys.len()))
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|it| u8::from_str_radix(it, 16).ok());
    text.as_bytes().chunks(2).map(pair).collect()
}
