//! The values of flags, each with an error that says what to write instead.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use humantime::{DurationError, format_duration, parse_duration};
use screen::size::Error as SizeError;
use screen::with_commas;

/// The longest duration that can be asked for: humantime's year, and as good as for ever. A deadline is `now` plus a
/// duration, and a sum beyond what the clock holds is a panic.
pub const LONGEST: Duration = Duration::from_secs(31_557_600);
/// The shortest that is one.
pub const SHORTEST: Duration = Duration::from_nanos(1);

/// What a socket's buffer can be set to: the kernel takes a C int, and doubles it.
const BUFFER: RangeInclusive<u64> = 1 << 10..=1 << 30;

/// Reads `500ms`, `30s`, `5m`, `2h 30m` and their like, in `range`; for clap's `value_parser`.
pub fn duration(
    range: RangeInclusive<Duration>,
) -> impl Fn(&str) -> Result<Duration, String> + Clone {
    move |text| match parse_duration(text) {
        Ok(duration) if range.contains(&duration) => Ok(duration),
        Ok(duration) if duration < *range.start() => Err(match *range.start() {
            SHORTEST => format!("'{text}' is too short: it must be more than zero"),
            least => format!(
                "'{text}' is too short: the least is {}",
                format_duration(least)
            ),
        }),
        Ok(_) | Err(DurationError::NumberOverflow) => {
            let most = format_duration(*range.end());
            Err(format!("'{text}' is too long: the most is {most}"))
        }
        Err(_) => Err(format!(
            "invalid duration '{text}': write 500ms, 30s, 5m or 2h"
        )),
    }
}

/// Reads any duration from zero to [`LONGEST`].
///
/// # Errors
/// What to write instead.
pub fn any_duration(text: &str) -> Result<Duration, String> {
    duration(Duration::ZERO..=LONGEST)(text)
}

/// Reads a size of one byte or more.
///
/// # Errors
/// What to write instead.
pub fn size_above_zero(text: &str) -> Result<u64, String> {
    match screen::size::parse(text) {
        Ok(0) => Err(format!("'{text}' is too small: it must be more than zero")),
        Ok(size) => Ok(size),
        Err(error) => Err(error.to_string()),
    }
}

/// Reads the size of a socket's buffer.
///
/// # Errors
/// What is not a size, or one that the kernel would make something else of.
pub fn buffer(text: &str) -> Result<u64, String> {
    match screen::size::parse(text) {
        Ok(bytes) if BUFFER.contains(&bytes) => Ok(bytes),
        Ok(_) | Err(SizeError::TooLarge(_)) => Err("a receive buffer is 1K to 1G".into()),
        Err(error @ SizeError::Invalid(_)) => Err(error.to_string()),
    }
}

/// Reads a whole number in `range`; for clap's `value_parser`.
pub fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| match text.parse::<T>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(wanted(&range)),
    }
}

/// Nobody wants to read the last number that a machine's word holds.
const END_SHOWN_LEN_MAX: usize = 9;

fn wanted<T: Display>(range: &RangeInclusive<T>) -> String {
    let (start, end) = (range.start().to_string(), range.end().to_string());
    let grouped = |digits: &str| digits.parse().map_or_else(|_| digits.into(), with_commas);
    match (end.len() <= END_SHOWN_LEN_MAX, start.as_str()) {
        (true, _) => format!(
            "write a whole number from {} to {}",
            grouped(&start),
            grouped(&end)
        ),
        (false, "0" | "1") => format!("write a whole number, {start} or more, such as 5"),
        (false, _) => format!("write a whole number, {start} or more"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_no_number_is_told_what_one_looks_like() {
        let check = |text: &str, want: Result<u32, &str>| {
            assert_eq!(whole(1..=50)(text), want.map_err(str::to_owned), "{text}");
        };
        check("1", Ok(1));
        check("50", Ok(50));
        for text in [
            "fuor",
            "",
            "0",
            "51",
            "-1",
            "1.5",
            "99999999999999999999",
            "5 ",
        ] {
            check(text, Err("write a whole number from 1 to 50"));
        }
        assert_eq!(whole(0..=u64::MAX)("7"), Ok(7));
        let said = whole(0..=u64::MAX)("x").unwrap_err();
        assert_eq!(said, "write a whole number, 0 or more, such as 5");
        let said = whole(1..=100_000_u32)("0").unwrap_err();
        assert_eq!(said, "write a whole number from 1 to 100,000");
    }

    #[test]
    fn durations_have_an_end() {
        let check = |text: &str, seconds: u64| {
            assert_eq!(
                any_duration(text),
                Ok(Duration::from_secs(seconds)),
                "{text}"
            );
        };
        check("0s", 0);
        check("5m", 300);
        check("2h 30m", 9_000);
        check("365d", 31_536_000);
        check("1y", 31_557_600);
        let refused = |text: &str| any_duration(text).expect_err(text);
        for text in [
            "1y 1s",
            "2y",
            "18446744073709551615s",
            "99999999999999999999s",
        ] {
            assert_eq!(
                refused(text),
                format!("'{text}' is too long: the most is 1year")
            );
        }
        for text in ["", "5", "s", "soon", "-5s", "5 parsecs"] {
            let want = format!("invalid duration '{text}': write 500ms, 30s, 5m or 2h");
            assert_eq!(refused(text), want);
        }
    }

    #[test]
    fn a_duration_outside_of_its_range_is_told_the_end_of_it() {
        let check = |text: &str, least, want: &str| {
            assert_eq!(duration(least..=LONGEST)(text).unwrap_err(), want);
        };
        let seconds = Duration::from_secs(5);
        check(
            "0s",
            SHORTEST,
            "'0s' is too short: it must be more than zero",
        );
        check("0s", seconds, "'0s' is too short: the least is 5s");
        check("4s", seconds, "'4s' is too short: the least is 5s");
    }

    #[test]
    fn a_buffer_is_one_that_the_kernel_takes_as_it_is() {
        let check = |text: &str, bytes: u64| assert_eq!(buffer(text), Ok(bytes), "{text}");
        check("1K", 1 << 10);
        check("256K", 256 << 10);
        check("1G", 1 << 30);
        for text in ["0", "1023", "2G", "4G", "99999999999T"] {
            let error = buffer(text).expect_err(text);
            assert!(error.contains("1K to 1G"), "{text}: {error}");
        }
        assert!(buffer("big").expect_err("no size").contains("50M"));
    }

    #[test]
    fn a_size_of_nothing_is_refused_where_it_makes_no_sense() {
        assert_eq!(size_above_zero("64M"), Ok(64 << 20));
        for (text, part) in [
            ("0", "more than zero"),
            ("5X", "invalid size '5X'"),
            ("99999999T", "too large"),
        ] {
            let error = size_above_zero(text).expect_err(text);
            assert!(error.contains(part), "{error}");
        }
    }

    proptest! {
        /// Twice, because some deadlines are the sum of two settings.
        #[test]
        fn every_deadline_can_be_told(text in "[0-9]{1,21}(ns|us|ms|s|m|h|d|w|y|months)( [0-9]{1,6}s)?") {
            if let Ok(duration) = any_duration(&text) {
                prop_assert!(Instant::now().checked_add(2 * duration).is_some());
            }
        }
    }
}
