//! Words for people: nothing from outside reaches a terminal unescaped.

use std::fmt::Write as _;
use std::io;

use cli_kit::output;
use client::FileName;

/// `text` with every character escaped that a file name may not contain for being invisible: a server
/// cannot move the cursor, colour the screen or turn the writing direction.
pub(crate) fn shown(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_visible(character) {
            shown.push(character);
        } else {
            let _ = write!(shown, "{}", character.escape_default());
        }
    }
    shown
}

fn is_visible(character: char) -> bool {
    match character {
        ' '..='~' => true,
        '\0'..='\u{7f}' => false,
        // Alone, any other character makes a name unless it is a control or format character.
        _ => FileName::parse(character.encode_utf8(&mut [0; 4]).as_bytes()).is_ok(),
    }
}

/// The error as part of a sentence: `connection refused` for `Connection refused (os error 111)`.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = output::plain(error);
    let mut characters = text.chars();
    match characters.next() {
        // Not where it is an abbreviation.
        Some(first) if !characters.clone().next().is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        fn check(text: &str, wanted: &str) {
            assert_eq!(shown(text), wanted);
        }
        check("plain name.txt", "plain name.txt");
        check("a/b\\c", "a/b\\c");
        check("写真.png é", "写真.png é");
        check("\u{1b}[31mred", "\\u{1b}[31mred");
        check("two\nlines\r\t", "two\\nlines\\r\\t");
        check("\u{9b}31m", "\\u{9b}31m");
        check("\u{202e}gpj.exe", "\\u{202e}gpj.exe");
        check("\u{7f}", "\\u{7f}");
    }

    #[test]
    fn system_errors_read_as_part_of_a_sentence() {
        assert_eq!(
            plain(&io::Error::from_raw_os_error(111)),
            "connection refused"
        );
        assert_eq!(
            plain(&io::Error::other("the disk is gone")),
            "the disk is gone"
        );
    }
}
