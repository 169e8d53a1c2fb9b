//! Sizes as people type them, read as the server and the GNU tools read them.

/// Reads `50`, `50K`, `50M`, `50MiB`, `50MB` and their like into bytes.
///
/// # Errors
/// What to write instead.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let digits_len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits_len);
    let size = factor(unit)
        .zip(digits.parse::<u64>().ok())
        .and_then(|(factor, number)| number.checked_mul(factor));
    match size {
        Some(0) => Err("it must be more than zero".to_owned()),
        Some(size) => Ok(size),
        None => Err(format!(
            "invalid size '{text}': write bytes (52428800), or 50K, 50M, 50G (powers of 1,024), or 50KB, 50MB, 50GB \
             (powers of 1,000)"
        )),
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
    use super::*;

    #[test]
    fn sizes_are_read_as_everywhere_and_what_is_none_is_refused() {
        for (text, size) in [
            ("1", Some(1)),
            ("5K", Some(5 << 10)),
            ("64M", Some(64 << 20)),
            ("64MiB", Some(64 << 20)),
            ("3MB", Some(3_000_000)),
            ("1T", Some(1 << 40)),
            ("0", None),
            ("", None),
            ("M", None),
            ("-1", None),
            ("1.5G", None),
            ("5 M", None),
            ("5X", None),
            ("99999999999999999999", None),
            ("99999999T", None),
        ] {
            assert_eq!(parse(text).ok(), size, "{text}");
        }
    }
}
