//! Text without a model: tokens of answers, token counts of prompts, vectors of embeddings.

use crate::engine::schedule::{splitmix64, unit};

/// The first tokens of every answer, so that nobody takes it for a model's.
const OPENING: [&str; 15] = [
    "This",
    " is",
    " a",
    " simulated",
    " answer",
    ":",
    " no",
    " model",
    " ran",
    ",",
    " only",
    " its",
    " timing",
    ".",
    " Filler",
];

/// What follows, drawn by the seed.
const FILLER: [&str; 16] = [
    " alpha",
    " bravo",
    " charlie",
    " delta",
    " echo",
    " foxtrot",
    " golf",
    " hotel",
    " india",
    " juliett",
    " kilo",
    " lima",
    " mike",
    " november",
    " oscar",
    " papa",
];

/// Returns the text of token `index` of the answer drawn by `seed`.
pub(super) fn token(seed: u64, index: u32) -> &'static str {
    match OPENING.get(index as usize) {
        Some(text) => text,
        None => FILLER[(splitmix64(seed ^ u64::from(index)) % 16) as usize],
    }
}

/// Returns the first `tokens` tokens of an answer as one text.
pub(super) fn answer(seed: u64, tokens: u32) -> String {
    (0..tokens).map(|index| token(seed, index)).collect()
}

/// Returns how long an answer is that nobody limited: 16 to 64 tokens.
pub(super) fn natural_length(seed: u64) -> u32 {
    16 + u32::try_from(splitmix64(seed) % 49).unwrap_or(0)
}

/// Returns the simulated token ids of a text: one for each started four characters.
pub(super) fn tokenize(text: &str) -> Vec<u32> {
    let chars: Vec<char> = text.chars().collect();
    let hash = |piece: &[char]| piece.iter().fold(0, |h, c| splitmix64(h ^ u64::from(u32::from(*c))));
    // As many ids as a vocabulary of today has.
    chars.chunks(4).map(|piece| u32::try_from(hash(piece) % 128_000).unwrap_or(0)).collect()
}

/// Returns how many tokens a text has, without listing them.
pub(super) fn count_tokens(text: &str) -> u32 {
    u32::try_from(text.chars().count().div_ceil(4)).unwrap_or(u32::MAX)
}

/// Returns the vector of a text: of length 1, the same for the same text and size.
#[expect(clippy::cast_possible_truncation, reason = "an f32 is what clients are given")]
pub(super) fn embedding(tokens: &[u32], dimensions: u32) -> Vec<f32> {
    let seed = tokens.iter().fold(u64::from(dimensions), |h, token| splitmix64(h ^ u64::from(*token)));
    let raw: Vec<f64> =
        (0..u64::from(dimensions)).map(|i| unit(splitmix64(seed ^ splitmix64(i))) * 2.0 - 1.0).collect();
    let length = raw.iter().map(|x| x * x).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    raw.into_iter().map(|x| (x / length) as f32).collect()
}

/// Returns the base64 of a vector as little-endian floats, the form which the `openai` clients ask for.
pub(super) fn base64(vector: &[f32]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().enumerate().fold(0_usize, |g, (i, b)| g | usize::from(*b) << (16 - 8 * i));
        for digit in 0..4 {
            let present = digit <= chunk.len();
            out.push(if present { char::from(DIGITS[group >> (18 - 6 * digit) & 63]) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        assert_eq!(base64(&[]), "");
        assert_eq!(base64(&[1.0]), "AACAPw==");
        assert_eq!(base64(&[1.0, -2.5]), "AACAPwAAIMA=");
        assert_eq!(base64(&[1.0, -2.5, 0.0]), "AACAPwAAIMAAAAAA");
    }

    #[test]
    fn embeddings_are_unit_vectors_and_depend_on_the_text() {
        let (a, b) = (embedding(&tokenize("north"), 64), embedding(&tokenize("south"), 64));
        let length: f32 = a.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
        assert_eq!(a, embedding(&tokenize("north"), 64));
        assert_ne!(a, b);
    }

    #[test]
    fn every_answer_says_simulated() {
        assert!(answer(7, 16).starts_with("This is a simulated answer"));
        assert_ne!(answer(7, 64), answer(8, 64));
    }
}
