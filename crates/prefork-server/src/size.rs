//! Sizes as people type them, read the way the GNU tools read them.

/// Reads `512`, `64K`, `50M`, `50MiB` (powers of 1,024) or `50MB` (powers of 1,000).
///
/// # Errors
/// Says what is accepted.
pub fn parse(text: &str) -> Result<u64, String> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let wrong = || {
        format!(
            "'{text}' is no size: use bytes, or a number with K, M, G (50M = 50MiB) or KB, MB, GB"
        )
    };
    let factor: u64 = match unit.to_ascii_uppercase().as_str() {
        "" | "B" => 1,
        "K" | "KIB" => 1 << 10,
        "M" | "MIB" => 1 << 20,
        "G" | "GIB" => 1 << 30,
        "T" | "TIB" => 1 << 40,
        "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_are_read_as_gnu_reads_them() {
        let check = |text: &str, want: Option<u64>| assert_eq!(parse(text).ok(), want, "{text}");
        check("0", Some(0));
        check("512", Some(512));
        check("4K", Some(4096));
        check("50M", Some(52_428_800));
        check("50MiB", Some(52_428_800));
        check("50MB", Some(50_000_000));
        check("4G", Some(4 << 30));
        for wrong in ["", "M", "-1", "1.5M", "50 M", "50X", "99999999999T"] {
            check(wrong, None);
        }
    }
}
