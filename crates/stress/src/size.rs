//! Sizes as the GNU tools read them: `50M` and `50MiB` are powers of 1,024, `50MB` is a power of 1,000.

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
    let wrong = || {
        format!(
            "'{text}' is no size: write bytes (52428800), or 50K, 50M, 50G (powers of 1,024, also as 50MiB) or 50KB, 50MB, 50GB (powers of 1,000)"
        )
    };
    let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits_len);
    let factor = factor(unit).ok_or_else(wrong)?;
    if digits.is_empty() {
        return Err(wrong());
    }
    // Digits that do not fit 64 bits are a size, only far too large a one.
    let bytes = digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor));
    match bytes {
        Some(bytes @ 1..=BYTES_MAX) => Ok(bytes),
        Some(0) => Err(format!("'{text}' is too small: the least is 1 byte")),
        _ => Err(format!("'{text}' is too large: the most is 1T")),
    }
}

fn factor(unit: &str) -> Option<u64> {
    Some(match unit {
        "" | "B" => 1,
        "K" | "k" | "KiB" => KIB,
        "M" | "m" | "MiB" => MIB,
        "G" | "g" | "GiB" => GIB,
        "T" | "t" | "TiB" => TIB,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    })
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

/// `number` with a comma after every third digit from the right.
#[must_use]
pub fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `bytes` for a person, in units of 1,000 with three digits or so: `56.4 GB`.
#[must_use]
pub fn approximate(bytes: u64) -> String {
    let (unit, factor) = match bytes {
        0..=999 => return format!("{bytes} bytes"),
        1_000..=999_949 => ("kB", 1_000),
        999_950..=999_949_999 => ("MB", 1_000_000),
        999_950_000..=999_949_999_999 => ("GB", 1_000_000_000),
        _ => ("TB", 1_000_000_000_000),
    };
    let tenths = (u128::from(bytes) * 10 + factor / 2) / factor;
    let whole = u64::try_from(tenths / 10).map_or_else(|_| String::new(), with_commas);
    format!("{whole}.{} {unit}", tenths % 10)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_read_as_gnu_reads_them() {
        let check = |text: &str, bytes: u64| assert_eq!(parse(text), Ok(bytes), "{text}");
        check("50M", 52_428_800);
        check("50MiB", 52_428_800);
        check("50m", 52_428_800);
        check("50MB", 50_000_000);
        check("50", 50);
        check("50B", 50);
        check("3K", 3_072);
        check("3k", 3_072);
        check("3KiB", 3_072);
        check("3kB", 3_000);
        check("3KB", 3_000);
        check("2G", 2_147_483_648);
        check("2GB", 2_000_000_000);
        check("1T", 1_099_511_627_776);
        check("010M", 10_485_760);
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_is_accepted() {
        for text in [
            "", "M", "-5M", "+5M", "1.5M", "5 M", "5X", "5MBit", "five", "5MIB", "5b",
        ] {
            let error = parse(text).expect_err(text);
            assert!(
                error.contains("50MiB") && error.contains("50MB"),
                "{text}: {error}"
            );
        }
        assert_eq!(
            parse("0"),
            Err("'0' is too small: the least is 1 byte".into())
        );
        for text in ["2T", "99999999999999999999", "18446744073709551615K"] {
            assert_eq!(
                parse(text),
                Err(format!("'{text}' is too large: the most is 1T"))
            );
        }
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
    fn large_numbers_are_grouped_and_rounded_for_people() {
        assert_eq!(with_commas(0), "0");
        assert_eq!(with_commas(999), "999");
        assert_eq!(with_commas(1_000), "1,000");
        assert_eq!(with_commas(52_428_800), "52,428,800");
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

        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = parse(&text);
        }
    }
}
