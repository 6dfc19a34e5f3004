//! Reads wanted series out of a metrics page: no tree, no allocation per line, and nothing of a hostile page believed.

/// The largest page that is read, in bytes.
pub(super) const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most samples of one wanted metric; a page with more is not one of an engine.
const SAMPLES_MAX: u32 = 4096;

/// How the samples of one metric become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fold {
    /// Load: engines and ranks of one server add up.
    Sum,
    /// Shares: the fullest decides.
    Max,
}

/// One metric to look for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Want {
    /// Its names without `_total`; with more than one (older releases), all count.
    pub(super) names: &'static [&'static str],
    /// What to do with many samples.
    pub(super) fold: Fold,
}

/// The numbers of the wanted metrics, in their order; a metric that is missing, not finite or negative is unknown.
pub(super) fn read<const N: usize>(page: &[u8], wanted: &[Want; N]) -> [Option<f64>; N] {
    let mut found = [Found::Nothing; N];
    let page = &page[..page.len().min(PAGE_BYTES_MAX)];
    let mut rest = page;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = &rest[(end + 1).min(rest.len())..];
        let Some((name, after)) = split_name(line) else {
            continue;
        };
        for (want, found) in wanted.iter().zip(&mut found) {
            if want.names.iter().any(|wanted| wanted.as_bytes() == name) {
                found.add(want.fold, value(after));
            }
        }
    }
    found.map(Found::number)
}

#[derive(Debug, Clone, Copy)]
enum Found {
    Nothing,
    Number {
        value: f64,
        samples: u32,
    },
    /// A sample that is no number of requests or share: the metric as a whole is unknown.
    Spoiled,
}

impl Found {
    fn add(&mut self, fold: Fold, value: Option<f64>) {
        *self = match (*self, value.filter(|it| it.is_finite() && *it >= 0.0)) {
            (Self::Spoiled, _) | (_, None) => Self::Spoiled,
            (Self::Nothing, Some(value)) => Self::Number { value, samples: 1 },
            (Self::Number { samples: SAMPLES_MAX.., .. }, Some(_)) => Self::Spoiled,
            (Self::Number { value: old, samples }, Some(value)) => {
                let value = match fold {
                    Fold::Sum => old + value,
                    Fold::Max => old.max(value),
                };
                Self::Number { value, samples: samples + 1 }
            }
        }
    }

    fn number(self) -> Option<f64> {
        match self {
            Self::Number { value, .. } => Some(value),
            Self::Nothing | Self::Spoiled => None,
        }
    }
}

/// The name of a sample without `_total`, and what follows it.
fn split_name(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.trim_ascii_start();
    if line.first().is_none_or(|first| *first == b'#') {
        return None;
    }
    let end = memchr::memchr3(b'{', b' ', b'\t', line)?;
    let (name, after) = line.split_at(end);
    Some((name.strip_suffix(b"_total").unwrap_or(name), after))
}

/// The value after a name and its labels; a timestamp behind it is passed over.
fn value(after: &[u8]) -> Option<f64> {
    let after = after.trim_ascii_start();
    let after = if after.first() == Some(&b'{') { skip_labels(after)? } else { after };
    let token = after.split(u8::is_ascii_whitespace).find(|token| !token.is_empty())?;
    std::str::from_utf8(token).ok()?.parse().ok()
}

/// What stands behind the closing brace; braces inside of quoted values do not count.
fn skip_labels(text: &[u8]) -> Option<&[u8]> {
    let (mut quoted, mut at) = (false, 1);
    while at < text.len() {
        match (text[at], quoted) {
            (b'\\', true) => at += 1,
            (b'"', _) => quoted = !quoted,
            (b'}', false) => return Some(&text[at + 1..]),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WANTED: [Want; 2] = [
        Want { names: &["vllm:num_requests_running"], fold: Fold::Sum },
        Want { names: &["vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"], fold: Fold::Max },
    ];

    #[test]
    fn samples_are_summed_or_the_fullest_taken() {
        let check =
            |page: &str, expected: [Option<f64>; 2]| assert_eq!(read(page.as_bytes(), &WANTED), expected, "{page}");
        let run = "vllm:num_requests_running";
        let kv = "vllm:kv_cache_usage_perc";
        check("", [None, None]);
        check(&format!("{run} 3\n"), [Some(3.0), None]);
        check(&format!("{run} 3"), [Some(3.0), None]);
        check(&format!("{run}_total 3 1763718723042\r\n"), [Some(3.0), None]);
        check(&format!("{run}{{engine=\"0\"}} 3.0\n{run}{{engine=\"1\"}} 4e0\n"), [Some(7.0), None]);
        check(&format!("{kv}{{engine=\"0\"}} 0.25\n{kv}{{engine=\"1\"}} 0.5\n"), [None, Some(0.5)]);
        check(&format!("{kv} 0.25\nvllm:gpu_cache_usage_perc 0.5\n"), [None, Some(0.5)]);
        check(&format!("{run}{{m=\"a}} 9 \\\" b\"}} 2\n"), [Some(2.0), None]);
        check(&format!("# HELP {run} 5\n#{run} 5\n"), [None, None]);
        check(&format!("{run}_by_reason 5\n{run}s 5\nx{run} 5\n"), [None, None]);
        check(&format!("{run} 0\n"), [Some(0.0), None]);
    }

    #[test]
    fn hostile_numbers_are_unknown_not_zero() {
        let check = |sample: &str| {
            let page = format!("vllm:num_requests_running 1\nvllm:num_requests_running{sample}\n");
            assert_eq!(read(page.as_bytes(), &WANTED), [None, None], "{sample}");
        };
        check(" NaN");
        check(" +Inf");
        check(" -1");
        check(" many");
        check("{engine=\"0\" 1");
        check("{engine=\"0\"}");
        check("{engine=\"\u{fffd}");
        let page = "vllm:num_requests_running 1\n".repeat(SAMPLES_MAX as usize + 1);
        assert_eq!(read(page.as_bytes(), &WANTED), [None, None]);
    }

    proptest! {
        #[test]
        fn noise_is_read_without_a_panic(page in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&page, &WANTED);
        }

        #[test]
        fn broken_samples_are_read_without_a_panic(tail in "[{}\"\\\\ =a0-9.\n\t#-]{0,60}") {
            let _ = read(format!("vllm:num_requests_running{tail}").as_bytes(), &WANTED);
        }
    }
}
