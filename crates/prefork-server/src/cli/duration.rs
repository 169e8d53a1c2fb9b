//! Durations as people type them. None is so long that the clock could not tell its end: a deadline is `now` plus a
//! duration, and a sum beyond what the clock holds is a panic.

use std::time::Duration;

/// The longest that can be asked for: humantime's year, and as good as for ever.
pub const LONGEST: Duration = Duration::from_secs(31_557_600);

/// Reads `500ms`, `30s`, `5m`, `2h 30m` and their like.
///
/// # Errors
/// What to write instead.
pub fn parse(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) | Err(humantime::DurationError::NumberOverflow) => Err("the longest is 1y".into()),
        Err(_) => Err("write a number with its unit: 500ms, 30s, 5m or 2h".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_an_end() {
        let check = |text: &str, seconds: u64| {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        };
        check("0s", 0);
        check("5m", 300);
        check("2h 30m", 9_000);
        check("365d", 31_536_000);
        check("1y", 31_557_600);
        for text in [
            "1y 1s",
            "2y",
            "18446744073709551615s",
            "99999999999999999999s",
        ] {
            assert_eq!(parse(text), Err("the longest is 1y".into()), "{text}");
        }
        for text in ["", "5", "s", "soon", "-5s", "5 parsecs"] {
            let said = parse(text).expect_err(text);
            assert!(said.contains("30s"), "{text}: {said}");
        }
    }

    proptest! {
        /// Twice, because some deadlines are the sum of two settings.
        #[test]
        fn every_deadline_can_be_told(text in "[0-9]{1,21}(ns|us|ms|s|m|h|d|w|y|months)( [0-9]{1,6}s)?") {
            if let Ok(duration) = parse(&text) {
                prop_assert!(Instant::now().checked_add(2 * duration).is_some());
            }
        }
    }
}
