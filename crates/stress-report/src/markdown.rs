//! `report.md`: the same words and tables, for where Markdown is read. Charts are left to the other formats.

use std::fmt::Write;

use super::document::{
    Align, Block, Cell, Column, Document, Fact, Group, Image, Inline, Table, TableRow, Text, Tile,
    Topic,
};

/// The folder beside the report that its pictures are in.
pub const CAPTURES: &str = "captures";

/// The text.
#[must_use]
pub fn render(document: &Document) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_document(&mut out, document);
    out
}

fn write_document(out: &mut String, document: &Document) -> std::fmt::Result {
    writeln!(out, "# {}\n", escaped(&document.title))?;
    writeln!(out, "{}", escaped(&document.subtitle))?;
    if !document.byline.is_empty() {
        writeln!(out)?;
        write_facts(out, &document.byline)?;
    }
    for section in &document.sections {
        // Charts and drawings alone make no section here.
        if section
            .blocks
            .iter()
            .all(|block| matches!(block, Block::Plate(_)))
        {
            continue;
        }
        writeln!(out, "\n## {}", escaped(&section.title))?;
        write_blocks(out, &section.blocks)?;
    }
    Ok(())
}

fn write_blocks(out: &mut String, blocks: &[Block]) -> std::fmt::Result {
    for block in blocks {
        if !matches!(block, Block::Plate(_)) {
            writeln!(out)?;
        }
        write_block(out, block)?;
    }
    Ok(())
}

fn write_block(out: &mut String, block: &Block) -> std::fmt::Result {
    match block {
        Block::Heading { level, text } => {
            let marks = "#".repeat(usize::from(*level) + 2);
            writeln!(out, "{marks} {}", words(text))
        }
        Block::Paragraph { text } => writeln!(out, "{}", words(text)),
        Block::List { start, items } => write_list(out, *start, items),
        Block::Quote { blocks } => write_indented(out, blocks, "> ", "> "),
        Block::Code { text } => {
            let fence = fence(text);
            writeln!(out, "{fence}\n{text}\n{fence}")
        }
        Block::Rule => writeln!(out, "---"),
        Block::Facts { facts } => write_facts(out, facts),
        Block::Tiles { tiles } => write_tiles(out, tiles),
        Block::Topics { topics } => write_topics(out, topics),
        Block::Table(table) => write_table(out, table),
        Block::Plate(_) => Ok(()),
        Block::Image(Image { name, caption, .. }) => {
            writeln!(out, "![{}]({CAPTURES}/{name})", escaped(caption))
        }
    }
}

fn write_list(out: &mut String, start: Option<u64>, items: &[Vec<Block>]) -> std::fmt::Result {
    for (index, item) in (0..).zip(items) {
        let mark = match start {
            Some(start) => format!("{}. ", start.saturating_add(index)),
            None => "- ".into(),
        };
        let indent = " ".repeat(mark.len());
        write_indented(out, item, &mark, &indent)?;
    }
    Ok(())
}

/// `blocks` with `first` before the first line and `rest` before the others.
fn write_indented(out: &mut String, blocks: &[Block], first: &str, rest: &str) -> std::fmt::Result {
    let mut inner = String::new();
    write_blocks(&mut inner, blocks)?;
    for (index, line) in inner.trim().lines().enumerate() {
        let start = if index == 0 { first } else { rest };
        writeln!(out, "{}", format!("{start}{line}").trim_end())?;
    }
    Ok(())
}

fn write_facts(out: &mut String, facts: &[Fact]) -> std::fmt::Result {
    for Fact { name, value } in facts {
        writeln!(out, "- {}: {}", escaped(name), words(value))?;
    }
    Ok(())
}

fn write_tiles(out: &mut String, tiles: &[Tile]) -> std::fmt::Result {
    for Tile { figure, label, .. } in tiles {
        writeln!(out, "- **{}** {}", escaped(figure), escaped(label))?;
    }
    Ok(())
}

fn write_topics(out: &mut String, topics: &[Topic]) -> std::fmt::Result {
    for (index, Topic { title, sentences }) in topics.iter().enumerate() {
        let before = if index == 0 { "" } else { "\n" };
        writeln!(out, "{before}### {}\n", escaped(title))?;
        for sentence in sentences {
            writeln!(out, "- {}", words(sentence))?;
        }
    }
    Ok(())
}

/// Groups become rows of their own: a table here has one head and no more.
fn write_table(out: &mut String, table: &Table) -> std::fmt::Result {
    let width = table.columns.len();
    let titles: Vec<String> = table
        .columns
        .iter()
        .map(|column| in_cell(escaped(&column.title)))
        .collect();
    writeln!(out, "| {} |", titles.join(" | "))?;
    let rule = |column: &Column| match column.align {
        Align::Left => "---",
        Align::Right => "--:",
    };
    let rules: Vec<&str> = table.columns.iter().map(rule).collect();
    writeln!(out, "|{}|", rules.join("|"))?;
    for Group { title, rows } in &table.groups {
        if let Some(title) = title {
            writeln!(
                out,
                "| **{}** {}|",
                in_cell(escaped(title)),
                "| ".repeat(width.saturating_sub(1))
            )?;
        }
        for row in rows {
            write_row(out, row, width)?;
        }
    }
    Ok(())
}

fn write_row(out: &mut String, row: &TableRow, width: usize) -> std::fmt::Result {
    let cell = |Cell {
                    text,
                    aside,
                    is_bad,
                }: &Cell| {
        let text = words(text);
        let text = if *is_bad { format!("**{text}**") } else { text };
        in_cell(match aside {
            Some(aside) => format!("{text} ({})", escaped(aside)),
            None => text,
        })
    };
    let cells: Vec<String> = row.cells.iter().map(cell).collect();
    writeln!(out, "| {} |", cells.join(" | "))?;
    match &row.trouble {
        Some(trouble) => writeln!(
            out,
            "| ↳ {} {}|",
            in_cell(escaped(trouble)),
            "| ".repeat(width.saturating_sub(1))
        ),
        None => Ok(()),
    }
}

fn words(text: &Text) -> String {
    text.0.iter().map(word).collect()
}

fn word(inline: &Inline) -> String {
    match inline {
        Inline::Plain { text } => escaped(text),
        Inline::Code { text } => code(text),
        Inline::Strong { text } => format!("**{}**", words(text)),
        Inline::Emphasis { text } => format!("*{}*", words(text)),
        Inline::Struck { text } => format!("~~{}~~", words(text)),
        Inline::Link { url, text } if text.words() == *url => format!("<{}>", in_url(url)),
        Inline::Link { url, text } => format!("[{}](<{}>)", words(text), in_url(url)),
        Inline::Break => "\\\n".into(),
    }
}

/// Code between as many backticks as it needs.
fn code(text: &str) -> String {
    let text = text.replace('\n', " ");
    match text.contains('`') {
        false => format!("`{text}`"),
        true => {
            let fence = "`".repeat(longest_ticks(&text) + 1);
            format!("{fence} {text} {fence}")
        }
    }
}

fn fence(text: &str) -> String {
    "`".repeat((longest_ticks(text) + 1).max(3))
}

fn longest_ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// In a cell a bar would begin the next one, even within code.
fn in_cell(text: String) -> String {
    // Escaped text has `\|` already; code does not.
    text.replace("\\|", "|")
        .replace('|', "\\|")
        .replace('\n', " ")
}

fn in_url(url: &str) -> String {
    url.chars()
        .map(|c| match c {
            '<' => "%3C".into(),
            '>' => "%3E".into(),
            c if c.is_whitespace() => "%20".into(),
            c => c.to_string(),
        })
        .collect()
}

/// `text` as nothing but text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (index, c) in text.char_indices() {
        let is_mark = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '~' | '&' => true,
            // Within words, as in names of columns, an underscore is nothing but itself.
            '_' => {
                let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                !(is_word(text[..index].chars().next_back())
                    && is_word(text[index + 1..].chars().next()))
            }
            // These mean something at the start of a line only.
            '#' | '+' | '-' | '=' => index == 0,
            _ => false,
        };
        if is_mark {
            out.push('\\');
        }
        out.push(if c == '\n' { ' ' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::notes;

    #[test]
    fn text_stays_text_in_a_cell_too() {
        assert_eq!(
            escaped("a|b <i> *x* no_such _y"),
            "a\\|b \\<i\\> \\*x\\* no_such \\_y"
        );
        assert_eq!(in_cell(escaped("a|b")), "a\\|b");
        assert_eq!(in_cell(code("a|b")), "`a\\|b`");
        assert_eq!(code("a`b"), "`` a`b ``");
        assert_eq!(fence("````"), "`````");
    }

    proptest! {
        #[test]
        fn what_is_escaped_reads_back_as_the_same_words(text in "[a-z0-9*_`\\[\\]<>()|~&!# \\\\-]{1,40}") {
            let text = text.trim();
            prop_assume!(!text.is_empty());
            let read = notes::read(&format!("x {}", escaped(text)));
            let [Block::Paragraph { text: found }] = &read[..] else {
                return Err(TestCaseError::fail(format!("{read:?}")));
            };
            prop_assert_eq!(found.words(), format!("x {text}"));
            prop_assert!(found.0.iter().all(|inline| matches!(inline, Inline::Plain { .. })), "{:?}", found);
        }
    }
}
