//! Sizes as people type them, read as the GNU tools read them: `50M` and `50MiB` are powers of 1,024, `50MB` is a
//! power of 1,000. The harness reads its sizes here too.

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not written like one.
    #[error(
        "'{0}' is no size: write bytes (52428800), or 50K, 50M, 50G (powers of 1,024, also as 50MiB) or 50KB, 50MB, 50GB (powers of 1,000)"
    )]
    NoSize(String),
    /// It does not fit 64 bits.
    #[error("'{0}' is too large: the most is 18446744073709551615 bytes")]
    TooLarge(String),
}

/// Reads `50`, `50K`, `50M`, `50MiB`, `50MB` and their like into bytes.
///
/// # Errors
/// See [`Error`].
pub fn parse(text: &str) -> Result<u64, Error> {
    let no_size = || Error::NoSize(text.to_owned());
    let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits_len);
    let factor = factor(unit).ok_or_else(no_size)?;
    if digits.is_empty() {
        return Err(no_size());
    }
    // Digits that do not fit 64 bits are a size, only far too large a one.
    let number = digits.parse::<u64>().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| Error::TooLarge(text.to_owned()))
}

/// What a socket's buffer can be set to: the kernel takes a C int, and doubles it.
const BUFFER: std::ops::RangeInclusive<u64> = 1 << 10..=1 << 30;

/// Reads the size of a socket's buffer.
///
/// # Errors
/// What is no size, or one that the kernel would make something else of.
pub fn parse_buffer(text: &str) -> Result<u64, String> {
    match parse(text) {
        Ok(bytes) if BUFFER.contains(&bytes) => Ok(bytes),
        Ok(_) | Err(Error::TooLarge(_)) => Err("a receive buffer is 1K to 1G".into()),
        Err(error @ Error::NoSize(_)) => Err(error.to_string()),
    }
}

fn factor(unit: &str) -> Option<u64> {
    Some(match unit {
        "" | "B" => 1,
        "K" | "k" | "KiB" => 1 << 10,
        "M" | "m" | "MiB" => 1 << 20,
        "G" | "g" | "GiB" => 1 << 30,
        "T" | "t" | "TiB" => 1 << 40,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_read_as_gnu_reads_them() {
        let check = |text: &str, bytes: u64| assert_eq!(parse(text), Ok(bytes), "{text}");
        check("0", 0);
        check("50", 50);
        check("50B", 50);
        check("50M", 52_428_800);
        check("50MiB", 52_428_800);
        check("50m", 52_428_800);
        check("50MB", 50_000_000);
        check("3K", 3_072);
        check("3k", 3_072);
        check("3KiB", 3_072);
        check("3kB", 3_000);
        check("3KB", 3_000);
        check("4G", 4 << 30);
        check("2GB", 2_000_000_000);
        check("1T", 1 << 40);
        check("010M", 10_485_760);
        check("18446744073709551615", u64::MAX);
    }

    #[test]
    fn what_is_no_size_is_refused_with_what_is_accepted() {
        for text in [
            "", "M", "-5M", "+5M", "1.5M", "5 M", "5X", "5MBit", "five", "5MIB", "5b",
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error, Error::NoSize(text.into()));
            let error = error.to_string();
            assert!(
                error.contains("50MiB") && error.contains("50MB"),
                "{text}: {error}"
            );
        }
        for text in ["99999999999T", "18446744073709551616"] {
            assert_eq!(parse(text), Err(Error::TooLarge(text.into())));
        }
    }

    #[test]
    fn a_buffer_is_one_that_the_kernel_takes_as_it_is() {
        let check = |text: &str, bytes: u64| assert_eq!(parse_buffer(text), Ok(bytes), "{text}");
        check("1K", 1 << 10);
        check("256K", 256 << 10);
        check("1G", 1 << 30);
        for text in ["0", "1023", "2G", "4G", "99999999999T"] {
            let error = parse_buffer(text).expect_err(text);
            assert!(error.contains("1K to 1G"), "{text}: {error}");
        }
        assert!(parse_buffer("big").expect_err("no size").contains("50M"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in ".{0,12}") {
            let _ = parse(&text);
        }
    }
}
