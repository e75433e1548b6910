//! Numbers for people.

/// Bytes with a decimal prefix, three or four digits.
pub fn bytes(bytes: u64) -> String {
    const PREFIXES: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
    if bytes < 10_000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut prefix = "";
    for next in PREFIXES {
        if value < 1000.0 {
            break;
        }
        value /= 1000.0;
        prefix = next;
    }
    format!("{value:.1} {prefix}B")
}

/// A number with a decimal prefix, at most four digits: `0`, `12.3k`, `999M`.
pub fn scaled(value: f64) -> String {
    const PREFIXES: [&str; 7] = ["", "k", "M", "G", "T", "P", "E"];
    let mut value = value.max(0.0);
    let mut prefixes = PREFIXES.iter();
    let mut prefix = prefixes.next().copied().unwrap_or_default();
    // What would be rounded to 1000 has the next prefix.
    while value >= 999.5 {
        let Some(next) = prefixes.next() else { break };
        (value, prefix) = (value / 1000.0, next);
    }
    // Whole ones are not cut up; few in a long time are not none.
    let decimals = match value {
        _ if prefix.is_empty() && (value.fract() == 0.0 || value >= 10.0) => 0,
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}{prefix}")
}

/// Seconds as days, hours, minutes and seconds, the two largest.
pub fn duration(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_keep_few_digits() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(9_999), "9999 B");
        assert_eq!(bytes(12_345), "12.3 kB");
        assert_eq!(bytes(u64::MAX), "18.4 EB");
    }

    #[test]
    fn scaled_numbers_have_three_digits() {
        let all = [0.0, 7.0, 0.25, 42.4, 999.0, 999.6, 1234.0, 12_345.0, 123_456.0, 999_600.0];
        let texts = all.map(scaled);
        let right = ["0", "7", "0.25", "42", "999", "1.00k", "1.23k", "12.3k", "123k", "1.00M"];
        assert_eq!(texts, right);
        assert_eq!(scaled(2.5e9), "2.50G");
        assert_eq!(scaled(f64::MAX).chars().last(), Some('E'), "there is an end");
    }

    #[test]
    fn durations_keep_two_units() {
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(61), "1 min 1 s");
        assert_eq!(duration(90_061), "1 d 1 h");
    }
}
