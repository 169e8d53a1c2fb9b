//! Sizes as people type them, read as the server and the GNU tools read them.

/// Reads `50`, `50K`, `50M`, `50MiB`, `50MB` and their like into bytes.
///
/// # Errors
/// What to write instead.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    match screen::size::parse(text) {
        Ok(0) => Err("it must be more than zero".to_owned()),
        Ok(size) => Ok(size),
        Err(_) => Err(format!(
            "invalid size '{text}': write bytes (52428800), or 50K, 50M, 50G (powers of 1,024), or 50KB, 50MB, 50GB \
             (powers of 1,000)"
        )),
    }
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
