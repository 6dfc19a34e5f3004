//! Times, durations and sizes in the units of people; what is unknown is a dash.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mesh_core::time::Timestamp;

/// What stands for an unknown value in a table.
pub(crate) const UNKNOWN: &str = "-";

/// The clock of this machine.
pub(crate) fn now() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

/// A duration in its two largest units: `850ms`, `12s`, `5m3s`, `2h`, `3d4h`.
pub(crate) fn duration(ms: u64) -> String {
    if ms < 1000 {
        return format!("{ms}ms");
    }
    let s = ms / 1000;
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let first = units.iter().position(|(size, _)| s >= *size).unwrap_or(units.len() - 1);
    let (size, name) = units[first];
    let mut text = format!("{}{name}", s / size);
    if let Some((next, name)) = units.get(first + 1)
        && s % size / next > 0
    {
        text.push_str(&format!("{}{name}", s % size / next));
    }
    text
}

/// Bytes in powers of two: `16.0GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut unit = 0;
    // Tenths, so that no float is needed.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A value, or the dash.
pub(crate) fn or_dash<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |it| it.to_string())
}

/// Reads `30s`, `5m`, `2h`, `1d`, `250ms` or a bare number of seconds.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration like 30s, 5m or 2h");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let ms = match unit {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(ms).filter(|it| *it <= 366 * 86_400_000).map(Duration::from_millis).ok_or_else(wrong)
}

/// Milliseconds of a duration.
pub(crate) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_short() {
        let check = |ms: u64, expected: &str| assert_eq!(duration(ms), expected);
        check(0, "0ms");
        check(999, "999ms");
        check(12_300, "12s");
        check(303_000, "5m3s");
        check(7_200_000, "2h");
        check(273_600_000, "3d4h");
        assert_eq!([bytes(512), bytes(1536), bytes(17_179_869_184)], ["512B", "1.5KiB", "16.0GiB"]);
    }

    #[test]
    fn durations_are_read_with_their_unit() {
        let check =
            |text: &str, expected: Option<u64>| assert_eq!(parse_duration(text).ok().map(ms), expected, "{text}");
        check("30s", Some(30_000));
        check("45", Some(45_000));
        check("250ms", Some(250));
        check("30m", Some(1_800_000));
        check("1d", Some(86_400_000));
        check("", None);
        check("h", None);
        check("5 m", None);
        check("-1s", None);
        check("99999999999999999999s", None);
        check("400d", None);
    }
}
