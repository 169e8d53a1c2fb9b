//! The text of a help as roff: prose is filled, and items with explanations become tagged paragraphs.

use clap_mangen::roff::{Roff, bold, roman};

/// If an item is longer, all have their explanations below them: a short command would run into its own.
const LEN_MAX: usize = 20;

/// What one run of lines is.
#[derive(Debug, PartialEq, Eq)]
enum Block {
    Prose(String),
    /// What is explained, and its explanation, which may be empty.
    Items(Vec<(String, String)>),
}

/// Adds `text` to `roff`.
pub(crate) fn write(roff: &mut Roff, text: &str) {
    for block in blocks(text) {
        match block {
            Block::Prose(prose) => {
                roff.control("PP", []).text([roman(prose)]);
            }
            Block::Items(items) => {
                let are_long = items.iter().any(|(item, _)| item.len() > LEN_MAX);
                for (item, explanation) in items {
                    roff.control("TP", []).text([bold(item)]);
                    if are_long {
                        roff.control("br", []);
                    }
                    // A tag needs a paragraph, be it an empty one.
                    roff.text([roman(explanation)]);
                }
            }
        }
    }
}

fn blocks(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .chunk_by(|a, b| !a.is_empty() && !b.is_empty() && is_indented(a) == is_indented(b))
        .filter(|lines| !lines[0].is_empty())
        .map(|lines| match is_indented(lines[0]) && has_columns(lines) {
            true => Block::Items(items(lines)),
            false => Block::Prose(joined(lines)),
        })
        .collect()
}

fn is_indented(line: &str) -> bool {
    line.starts_with(' ')
}

fn has_columns(lines: &[&str]) -> bool {
    lines.iter().any(|line| line.trim().contains("  "))
}

fn joined(lines: &[&str]) -> String {
    let words = lines.iter().map(|line| line.trim());
    words.collect::<Vec<_>>().join(" ")
}

fn items(lines: &[&str]) -> Vec<(String, String)> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let base = indent(lines[0]);
    let mut items: Vec<(String, String)> = Vec::new();
    for line in lines {
        let text = line.trim();
        match items.last_mut() {
            // A command that goes on.
            Some((item, _)) if item.ends_with('\\') => {
                item.pop();
                item.push_str(text);
            }
            Some((_, explanation)) if indent(line) > base => {
                explanation.push(' ');
                explanation.push_str(text);
            }
            _ => {
                let (item, explanation) = text.split_once("  ").unwrap_or((text, ""));
                items.push((item.to_owned(), explanation.trim().to_owned()));
            }
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_items_and_what_goes_on_are_told_apart() {
        let text = "Two lines\nof prose.\n\nExit codes:\n  0    well\n  3    not well,\n       or so\n  14\n\nHow:\n  Prose, too,\n  if indented.";
        let item = |item: &str, explanation: &str| (item.to_owned(), explanation.to_owned());
        assert_eq!(
            blocks(text),
            [
                Block::Prose("Two lines of prose.".into()),
                Block::Prose("Exit codes:".into()),
                Block::Items(vec![
                    item("0", "well"),
                    item("3", "not well, or so"),
                    item("14", "")
                ]),
                Block::Prose("How:".into()),
                Block::Prose("Prose, too, if indented.".into()),
            ]
        );
    }

    #[test]
    fn a_command_over_two_lines_is_one_item() {
        let text = "  program --flag  does this\n  program --long \\\n         --longer";
        let Some(Block::Items(items)) = blocks(text).pop() else {
            panic!("{text}");
        };
        assert_eq!(items[1].0, "program --long --longer");
    }
}
