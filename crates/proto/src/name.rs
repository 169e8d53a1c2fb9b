//! File names: the one place where bytes become a name that may reach a disk.

use std::fmt;

use crate::limits::NAME_LEN_MAX;

/// One path component that passed the grammar of [`FileName::parse`]. Nothing else reaches a disk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(Box<str>);

/// Why bytes are not a [`FileName`]. The text is for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NameError(&'static str);

impl FileName {
    /// Checks the grammar: 1 to 255 bytes of UTF-8; no `/`, `\` or NUL; no control or format characters
    /// (general categories Cc and Cf, and the line and paragraph separators); no leading or trailing space;
    /// no leading dot.
    ///
    /// # Errors
    /// Says which rule was broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, NameError> {
        let text = std::str::from_utf8(bytes).map_err(|_| NameError("a name must be UTF-8"))?;
        let broken_rule = match bytes {
            [] => Some("a name must not be empty"),
            _ if bytes.len() > NAME_LEN_MAX => Some("a name must not be longer than 255 bytes"),
            [b'.', ..] => Some("a name must not start with a dot"),
            [b' ', ..] | [.., b' '] => Some("a name must not start or end with a space"),
            _ if text.contains(['/', '\\']) => Some("a name must not contain a slash or backslash"),
            _ if text.chars().any(char::is_control) => {
                Some("a name must not contain control characters")
            }
            _ if text.chars().any(is_invisible) => {
                Some("a name must not contain invisible format characters")
            }
            _ => None,
        };
        match broken_rule {
            Some(rule) => Err(NameError(rule)),
            None => Ok(Self(text.into())),
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for FileName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text.as_bytes())
    }
}

/// Whether `character` is a format character or a line or paragraph separator.
fn is_invisible(character: char) -> bool {
    character > '\u{ac}'
        && INVISIBLE
            .iter()
            .any(|&(first, last)| (first..=last).contains(&character))
}

/// The general categories Cf, Zl and Zp of Unicode 16.0 (`DerivedGeneralCategory.txt` of the Unicode
/// Character Database), as inclusive ranges.
const INVISIBLE: [(char, char); 21] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{180e}', '\u{180e}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{2064}'),
    ('\u{2066}', '\u{206f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{fff9}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0001}', '\u{e0001}'),
    ('\u{e0020}', '\u{e007f}'),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], accepted: bool) {
        assert_eq!(
            FileName::parse(bytes).is_ok(),
            accepted,
            "{}",
            bytes.escape_ascii()
        );
    }

    #[test]
    fn ordinary_names_are_accepted() {
        for name in [
            "a",
            "a.txt",
            "no-extension",
            "two words.txt",
            "x..y",
            "~",
            "it's \"so\"",
            "файл.bin",
            "写真.png",
            "é",
        ] {
            check(name.as_bytes(), true);
        }
        check(&[b'n'; 255], true);
    }

    #[test]
    fn names_that_leave_the_directory_or_hide_are_refused() {
        for name in [
            "",
            ".",
            "..",
            ".hidden",
            "a/b",
            "/etc/passwd",
            "../up",
            "a\\b",
            " a",
            "a ",
            " ",
        ] {
            check(name.as_bytes(), false);
        }
        check(&[b'n'; 256], false);
        check("é".repeat(128).as_bytes(), false);
    }

    #[test]
    fn names_that_a_terminal_would_not_show_are_refused() {
        for name in [
            "a\0b",
            "a\nb",
            "a\r",
            "a\tb",
            "\u{7f}",
            "a\u{85}",
            "\u{1b}[31m",
            "a\u{ad}b",
            "a\u{200b}",
            "\u{202e}txt.exe",
            "\u{2028}",
            "\u{feff}a",
            "\u{e0041}",
        ] {
            check(name.as_bytes(), false);
        }
    }

    #[test]
    fn a_name_is_utf_8() {
        check(b"caf\xe9", false);
        check(b"\xed\xa0\x80", false);
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(INVISIBLE.iter().all(|(first, last)| first <= last));
        assert!(INVISIBLE.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
