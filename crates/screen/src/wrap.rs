//! Text in lines of so many columns, as a terminal counts them.

use std::borrow::Cow;

use console::{measure_text_width, truncate_str};

/// Where the next line of a paragraph begins, as against its first.
const HANGING: usize = 2;

/// How many columns `text` takes.
pub fn width(text: &str) -> usize {
    measure_text_width(text)
}

/// `text`, cut to so many columns if it is longer.
pub(crate) fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    truncate_str(text, columns, "…")
}

/// `text` without what moves a cursor: what a peer or a file said may hold anything.
pub(crate) fn visible(text: &str) -> String {
    let shown = |it: char| if it.is_control() { ' ' } else { it };
    text.chars().map(shown).collect()
}

/// `text` in lines of at most so many columns; the first keeps its indentation, and the others stand further in.
pub(crate) fn wrapped(text: &str, columns: usize) -> String {
    let text = visible(text);
    let indent = text.len() - text.trim_start_matches(' ').len();
    let next = (indent + HANGING).min(columns / 2);
    lines(&text[indent..], columns, indent.min(columns / 2), next)
}

/// The same, all lines beginning where the first does.
pub(crate) fn flush(text: &str, columns: usize) -> String {
    lines(&visible(text), columns, 0, 0)
}

fn lines(text: &str, columns: usize, first: usize, next: usize) -> String {
    let mut out = " ".repeat(first);
    let (mut used, mut is_begun) = (first, false);
    for word in units(text) {
        let gap = usize::from(is_begun);
        if is_begun && used + gap + width(word) > columns {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', next));
            used = next;
        } else if is_begun {
            out.push(' ');
            used += 1;
        }
        is_begun = true;
        // A word that no line holds, such as a path, is broken where a terminal would break it.
        for character in word.chars() {
            let wide = width(character.encode_utf8(&mut [0; 4]));
            if used + wide > columns && used > next {
                out.push('\n');
                out.extend(std::iter::repeat_n(' ', next));
                used = next;
            }
            out.push(character);
            used += wide;
        }
    }
    out
}

/// The words of `text`; a number and what it counts are one: `12 %`, `3 workers`.
fn units(text: &str) -> Vec<&str> {
    let mut units: Vec<&str> = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(' ') {
        let is_number = text[start..at].ends_with(|it: char| it.is_ascii_digit());
        let is_glued = is_number && !text[start..at].contains(' ') || text[at..].starts_with(" %");
        if !is_glued {
            units.push(&text[start..at]);
            start = at + 1;
        }
    }
    units.push(&text[start..]);
    units
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_stay_whole_and_what_goes_on_stands_further_in() {
        let check = |text: &str, columns, want: &str| {
            assert_eq!(wrapped(text, columns), want, "{text}");
        };
        check("", 10, "");
        check("one two three", 20, "one two three");
        check("one two three", 8, "one two\n  three");
        check("  one two three", 9, "  one two\n    three");
        check(
            "a/path/of/length twelve",
            8,
            "a/path/o\n  f/leng\n  th\n  twelve",
        );
        check("three × four ≥ 12", 9, "three ×\n  four ≥\n  12");
        check(
            "it took 1.3 s (54 %) of 2.4 s",
            18,
            "it took 1.3 s\n  (54 %) of 2.4 s",
        );
        check("写真 写真", 6, "写真\n  写真");
        check("two\nlines\x1b[1m", 40, "two lines [1m");
        assert_eq!(flush("one two three", 8), "one two\nthree");
        let text = "word ".repeat(50);
        let lens: Vec<usize> = flush(text.trim(), 100).lines().map(str::len).collect();
        assert_eq!(lens, [99, 99, 49]);
    }

    proptest! {
        #[test]
        fn no_line_is_too_long_and_no_word_is_lost(text in "( {0,4})([a-z—…×≥写]{1,30} ){0,20}[a-z]{0,200}", columns in 20..200_usize) {
            let got = wrapped(&text, columns);
            for line in got.lines() {
                prop_assert!(width(line) <= columns, "{}: {line}", width(line));
            }
            let letters = |text: &str| text.replace([' ', '\n'], "");
            prop_assert_eq!(letters(&got), letters(&text));
        }
    }
}
