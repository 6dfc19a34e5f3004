//! How hosts become a mesh: a plan, the same steps for every transport, an identity for every part.

pub(crate) mod bootstrap;
pub(crate) mod files;
pub(crate) mod identity;
pub(crate) mod local;
pub(crate) mod mesh;
pub(crate) mod objects;
pub(crate) mod plan;
pub(crate) mod ports;
pub(crate) mod ready;
pub(crate) mod release;
pub(crate) mod steps;
pub(crate) mod supervisor;

/// Bytes out of hex digits; none when the text is anything else.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// Hex digits out of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_round_trips() {
        assert_eq!(unhex(&hex(&[0, 127, 255])), Some(vec![0, 127, 255]));
        assert_eq!([unhex("0"), unhex("zz"), unhex("é")], [None, None, None]);
    }
}
