//! The text of a help in its parts, and as roff: prose is filled, and items with explanations become tagged paragraphs.

use clap_mangen::roff::{Roff, bold, roman};

/// If an item is longer, all have their explanations below them: a short command would run into its own.
const LEN_MAX: usize = 20;

/// What is explained, in its lines, and its explanation, which may be empty.
pub(super) struct Item<'a> {
    pub(super) lines: Vec<&'a str>,
    pub(super) explanation: String,
}

/// Adds `text` to `roff`.
pub(super) fn write(roff: &mut Roff, text: &str) {
    for block in blocks(text).iter().filter(|block| !block[0].is_empty()) {
        let items = items(block);
        if !is_indented(block[0]) || items.iter().all(|item| item.explanation.is_empty()) {
            roff.control("PP", []).text([roman(joined(block))]);
            continue;
        }
        let items = items.iter().map(|item| (item.name(), &item.explanation));
        let are_long = items.clone().any(|(name, _)| name.len() > LEN_MAX);
        for (name, explanation) in items {
            roff.control("TP", []).text([bold(name)]);
            if are_long {
                roff.control("br", []);
            }
            // A tag needs a paragraph, be it an empty one.
            roff.text([roman(explanation)]);
        }
    }
}

/// The lines of `text` in runs of prose, of indented lines, and of empty ones.
pub(super) fn blocks(text: &str) -> Vec<Vec<&str>> {
    let lines: Vec<&str> = text.lines().collect();
    let kind = |line: &str| (line.is_empty(), is_indented(line));
    let blocks = lines.chunk_by(|a, b| kind(a) == kind(b));
    blocks.map(<[&str]>::to_vec).collect()
}

pub(super) fn is_indented(line: &str) -> bool {
    line.starts_with(' ')
}

/// The lines without their indentation, in one.
pub(super) fn joined(lines: &[&str]) -> String {
    let words = lines.iter().map(|line| line.trim());
    words.collect::<Vec<_>>().join(" ")
}

/// Indented lines: each an item, or what goes on with the one above.
pub(super) fn items<'a>(block: &[&'a str]) -> Vec<Item<'a>> {
    let base = indent(block[0]);
    let mut items: Vec<Item<'_>> = Vec::new();
    for line in block {
        let (item, explanation) = line.trim().split_once("  ").unwrap_or((line.trim(), ""));
        let explanation = explanation.trim();
        match items.last_mut() {
            // A command over several lines.
            Some(above) if above.lines.last().is_some_and(|last| last.ends_with('\\')) => {
                above.lines.push(item);
                above.explanation.push_str(explanation);
            }
            Some(above) if indent(line) > base => {
                above.explanation.push(' ');
                above.explanation.push_str(line.trim());
            }
            _ => items.push(Item {
                lines: vec![item],
                explanation: explanation.to_owned(),
            }),
        }
    }
    items
}

pub(super) fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

impl Item<'_> {
    /// In one line.
    fn name(&self) -> String {
        let lines = self.lines.iter().map(|line| line.trim_end_matches('\\'));
        lines.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> String {
        let mut roff = Roff::new();
        write(&mut roff, text);
        roff.to_roff()
    }

    #[test]
    fn prose_items_and_what_goes_on_are_told_apart() {
        let text = "Two lines\nof prose.\n\nExit codes:\n  0    well\n  3    not well,\n       or so\n  14\n\nHow:\n  Prose, too,\n  if indented.";
        let want = ".PP\nTwo lines of prose.\n.PP\nExit codes:\n.TP\n\\fB0\\fR\nwell\n.TP\n\\fB3\\fR\nnot well, or so\n.TP\n\\fB14\\fR\n\n.PP\nHow:\n.PP\nProse, too, if indented.\n";
        assert!(written(text).ends_with(want), "{}", written(text));
    }

    #[test]
    fn a_command_over_two_lines_is_one_item() {
        let text = "  program --flag  does this\n  program --long \\\n         --longer";
        let items = items(&blocks(text)[0]);
        assert_eq!(items[1].name(), "program --long --longer");
    }
}
