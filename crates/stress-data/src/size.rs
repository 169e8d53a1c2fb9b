//! Sizes: read as people type them, within what makes sense here, and shown to people.

use screen::size;

pub use screen::{counted, counted_as, with_commas};

/// The largest volume that can be asked for: one file of a cell.
const BYTES_MAX: u64 = 1 << 40;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Units in the order in which [`format()`] tries them: the shortest exact one wins.
const UNITS: [(&str, u64); 8] = [
    ("T", TIB),
    ("G", GIB),
    ("M", MIB),
    ("K", KIB),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
];

/// Reads `50`, `50K`, `50M`, `50MiB`, `50MB` and their like into bytes, from 1 byte to 1 TiB.
///
/// # Errors
/// A sentence that says what is accepted.
pub fn parse(text: &str) -> Result<u64, String> {
    match size::parse(text) {
        Ok(bytes @ 1..=BYTES_MAX) => Ok(bytes),
        Ok(0) => Err(format!("'{text}' is too small: the least is 1 byte")),
        Ok(_) | Err(size::Error::TooLarge(_)) => {
            Err(format!("'{text}' is too large: the most is 1T"))
        }
        Err(error @ size::Error::Invalid(_)) => Err(error.to_string()),
    }
}

/// The shortest exact way to write `bytes` so that [`parse`] reads it back: `50M`, `50MB` or `52428801`.
#[must_use]
pub fn format(bytes: u64) -> String {
    UNITS
        .iter()
        .filter(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor))
        .map(|(unit, factor)| format!("{}{unit}", bytes / factor))
        .min_by_key(String::len)
        .unwrap_or_else(|| bytes.to_string())
}

/// `bytes` for a person, in units of 1,000 with three digits or so: `56.4 GB`.
#[must_use]
pub fn approximate(bytes: u64) -> String {
    let (unit, factor) = match bytes {
        0..=999 => return counted(bytes, "byte"),
        1_000..=999_949 => ("kB", 1_000),
        999_950..=999_949_999 => ("MB", 1_000_000),
        999_950_000..=999_949_999_999 => ("GB", 1_000_000_000),
        _ => ("TB", 1_000_000_000_000),
    };
    let tenths = (u128::from(bytes) * 10 + factor / 2) / factor;
    let whole = u64::try_from(tenths / 10).map_or_else(|_| String::new(), with_commas);
    format!("{whole}.{} {unit}", tenths % 10)
}

/// A rate in MB/s (millions of bytes): whole from 100 on, with two decimals below.
#[must_use]
pub fn rate_text(bytes_per_s: u64) -> String {
    if bytes_per_s >= 99_995_000 {
        return with_commas(bytes_per_s.saturating_add(500_000) / 1_000_000);
    }
    let hundredths = (bytes_per_s + 5_000) / 10_000;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_volume_is_from_one_byte_to_a_tebibyte() {
        let check = |text: &str, want: Result<u64, &str>| {
            assert_eq!(parse(text), want.map_err(str::to_owned), "{text}");
        };
        check("1", Ok(1));
        check("50M", Ok(52_428_800));
        check("50MB", Ok(50_000_000));
        check("1T", Ok(1 << 40));
        check("0", Err("'0' is too small: the least is 1 byte"));
        check("0M", Err("'0M' is too small: the least is 1 byte"));
        for text in ["2T", "99999999999999999999", "18446744073709551615K"] {
            let want = format!("'{text}' is too large: the most is 1T");
            check(text, Err(&want));
        }
        let error = parse("50X").unwrap_err();
        assert!(error.contains("50MiB") && error.contains("50MB"), "{error}");
    }

    #[test]
    fn sizes_are_shown_in_their_shortest_exact_form() {
        let check = |bytes: u64, text: &str| assert_eq!(format(bytes), text);
        check(10_485_760, "10M");
        check(104_857_600, "100M");
        check(50_000_000, "50MB");
        check(1_024, "1K");
        check(1_000, "1KB");
        check(999, "999");
        check(0, "0");
        check(52_428_801, "52428801");
    }

    #[test]
    fn large_sizes_are_rounded_for_people() {
        assert_eq!(approximate(1), "1 byte");
        assert_eq!(approximate(999), "999 bytes");
        assert_eq!(approximate(1_500), "1.5 kB");
        assert_eq!(approximate(10_485_760), "10.5 MB");
        assert_eq!(approximate(999_949_999), "999.9 MB");
        assert_eq!(approximate(999_950_000), "1.0 GB");
        assert_eq!(approximate(1 << 50), "1,125.9 TB");
        assert_eq!(approximate(56_403_951_616), "56.4 GB");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back_the_same(bytes in 1..=BYTES_MAX) {
            prop_assert_eq!(parse(&format(bytes)), Ok(bytes));
        }
    }
}
