//! `report.md`: the same words and tables, for where Markdown is read. Charts are left to the other formats.

use super::document::{
    Align, Block, Cell, Column, Document, Fact, Group, Image, Inline, Section, Table, TableRow,
    Text, Tile, Topic,
};

/// The folder beside the report that its pictures are in.
pub(crate) const CAPTURES: &str = "captures";

/// The text.
pub(crate) fn render(document: &Document) -> String {
    let (title, subtitle) = (escaped(&document.title), escaped(&document.subtitle));
    let mut out = format!("# {title}\n\n{subtitle}\n");
    if !document.byline.is_empty() {
        out += &format!("\n{}", facts(&document.byline));
    }
    for Section { title, blocks, .. } in &document.sections {
        // Charts and drawings alone make no section here.
        if blocks.iter().any(is_shown) {
            out += &format!("\n## {}\n{}", escaped(title), shown(blocks));
        }
    }
    out
}

const fn is_shown(block: &Block) -> bool {
    !matches!(block, Block::Plate(_))
}

fn shown(blocks: &[Block]) -> String {
    let shown = blocks.iter().filter(|block| is_shown(block));
    shown.map(|found| format!("\n{}", block(found))).collect()
}

fn block(block: &Block) -> String {
    match block {
        Block::Heading(level, text) => {
            let marks = "#".repeat(usize::from(*level) + 2);
            format!("{marks} {}\n", words(text))
        }
        Block::Paragraph(text) => words(text) + "\n",
        Block::List(start, items) => list(*start, items),
        Block::Quote(blocks) => indented(blocks, "> ", "> "),
        Block::Code(text) => {
            let fence = fence(text);
            format!("{fence}\n{text}\n{fence}\n")
        }
        Block::Rule => "---\n".into(),
        Block::Facts(all) => facts(all),
        Block::Tiles(tiles) => {
            let tile =
                |it: &Tile| format!("- **{}** {}\n", escaped(&it.figure), escaped(&it.label));
            tiles.iter().map(tile).collect()
        }
        Block::Topics(all) => all.iter().map(topic).collect::<Vec<_>>().join("\n"),
        Block::Table(found) => table(found),
        Block::Plate(_) => String::new(),
        Block::Pictures(all) => {
            let said = all.pictures.iter();
            said.map(|it| format!("- **{}**: {}\n", escaped(&it.title), words(&it.sentences)))
                .collect()
        }
        // Where Markdown is read this element is known.
        Block::Folded(title, blocks) => {
            let title = escaped(title);
            let inner = shown(blocks);
            format!("<details><summary>{title}</summary>\n{inner}\n</details>\n")
        }
        Block::Image(Image { name, caption, .. }) => {
            format!("![{}]({CAPTURES}/{name})\n", escaped(caption))
        }
    }
}

fn list(start: Option<u64>, items: &[Vec<Block>]) -> String {
    let item = |(index, item): (u64, &Vec<Block>)| {
        let mark = match start {
            Some(start) => format!("{}. ", start.saturating_add(index)),
            None => "- ".into(),
        };
        indented(item, &mark, &" ".repeat(mark.len()))
    };
    (0..).zip(items).map(item).collect()
}

/// `blocks` with `first` before the first line and `rest` before the others.
fn indented(blocks: &[Block], first: &str, rest: &str) -> String {
    let line = |(index, line): (usize, &str)| {
        let start = if index == 0 { first } else { rest };
        format!("{start}{line}").trim_end().to_owned() + "\n"
    };
    shown(blocks).trim().lines().enumerate().map(line).collect()
}

fn facts(facts: &[Fact]) -> String {
    let fact = |it: &Fact| format!("- {}: {}\n", escaped(&it.name), words(&it.value));
    facts.iter().map(fact).collect()
}

fn topic(topic: &Topic) -> String {
    let sentences = topic.sentences.iter();
    let sentences: String = sentences.map(|it| format!("- {}\n", words(it))).collect();
    format!("### {}\n\n{sentences}", escaped(&topic.title))
}

/// Groups become rows of their own: a table here has one head and no more.
fn table(table: &Table) -> String {
    let titles = table.columns.iter().map(|it| in_cell(escaped(&it.title)));
    let rule = |column: &Column| match column.align {
        Align::Left => "---",
        Align::Right => "--:",
    };
    let rules: Vec<&str> = table.columns.iter().map(rule).collect();
    let mut out = format!("{}|{}|\n", line(titles), rules.join("|"));
    let width = table.columns.len();
    for Group { title, rows } in &table.groups {
        if let Some(title) = title {
            out += &across(&format!("**{}**", in_cell(escaped(title))), width);
        }
        for TableRow { cells, trouble } in rows {
            out += &line(cells.iter().map(cell));
            if let Some(trouble) = trouble {
                out += &across(&format!("↳ {}", in_cell(escaped(trouble))), width);
            }
        }
    }
    out
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// A row with words in its first cell only.
fn across(words: &str, width: usize) -> String {
    format!("| {words} {}|\n", "| ".repeat(width.saturating_sub(1)))
}

fn cell(cell: &Cell) -> String {
    let text = words(&cell.text);
    let text = if cell.is_bad {
        format!("**{text}**")
    } else {
        text
    };
    in_cell(match &cell.aside {
        Some(aside) => format!("{text} ({})", escaped(aside)),
        None => text,
    })
}

fn words(text: &Text) -> String {
    text.0.iter().map(word).collect()
}

fn word(inline: &Inline) -> String {
    match inline {
        Inline::Plain(text) => escaped(text),
        Inline::Code(text) => code(text),
        Inline::Strong(text) => format!("**{}**", words(text)),
        Inline::Emphasis(text) => format!("*{}*", words(text)),
        Inline::Struck(text) => format!("~~{}~~", words(text)),
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
            let [Block::Paragraph(found)] = &read[..] else {
                return Err(TestCaseError::fail(format!("{read:?}")));
            };
            prop_assert_eq!(found.words(), format!("x {text}"));
            prop_assert!(found.0.iter().all(|inline| matches!(inline, Inline::Plain { .. })), "{:?}", found);
        }
    }
}
