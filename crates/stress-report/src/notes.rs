//! The author's notes: Markdown, read into blocks. HTML in it becomes text, links that could do anything but lead
//! somewhere become their words, and pictures become links: the report loads nothing from anywhere.

use pulldown_cmark::{Alignment, Event, Options, Parser, Tag, TagEnd};

use super::document::{
    Align, Block, Cell, Column, Group, Inline, Table, TableRow, Text, is_safe_url,
};

/// Lists and quotations may lie in each other so deep; what is deeper is left flat.
const DEPTH_MAX: usize = 16;

/// The blocks that `markdown` says.
pub(crate) fn read(markdown: &str) -> Vec<Block> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events = flattened(Parser::new_ext(markdown, options));
    Reader { events }.blocks(None)
}

/// The events without the lists and quotations that lie too deep: what is in them remains.
fn flattened<'a>(events: Parser<'a>) -> impl Iterator<Item = Event<'a>> {
    let mut open: Vec<bool> = Vec::new();
    events.filter(move |event| match event {
        Event::Start(Tag::List(_) | Tag::BlockQuote(_)) => {
            let is_kept = open.len() < DEPTH_MAX;
            open.push(is_kept);
            is_kept
        }
        Event::End(TagEnd::List(_) | TagEnd::BlockQuote(_)) => open.pop().unwrap_or(true),
        Event::Start(Tag::Item) | Event::End(TagEnd::Item) => open.last().is_none_or(|it| *it),
        _ => true,
    })
}

struct Reader<I> {
    events: I,
}

impl<'a, I: Iterator<Item = Event<'a>>> Reader<I> {
    /// Everything up to `end`, or to the end of it all.
    fn blocks(&mut self, end: Option<TagEnd>) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut loose = Text::default();
        while let Some(event) = self.events.next() {
            if let Event::End(found) = &event
                && Some(*found) == end
            {
                break;
            }
            match event {
                Event::Start(tag) if is_block(&tag) => {
                    flush(&mut blocks, &mut loose);
                    self.block(tag, &mut blocks);
                }
                Event::Rule => {
                    flush(&mut blocks, &mut loose);
                    blocks.push(Block::Rule);
                }
                // The items of a tight list hold their words without a paragraph.
                event => self.inline(event, &mut loose.0),
            }
        }
        flush(&mut blocks, &mut loose);
        blocks
    }

    fn block(&mut self, tag: Tag<'a>, blocks: &mut Vec<Block>) {
        let end = tag.to_end();
        match tag {
            Tag::Paragraph => blocks.push(Block::Paragraph(self.text(end))),
            // The first level of the notes lies below the headings of the report's sections.
            Tag::Heading { level, .. } => {
                blocks.push(Block::Heading((level as u8).min(4), self.text(end)));
            }
            Tag::CodeBlock(_) | Tag::HtmlBlock => {
                let text = self.text(end).words();
                if !text.is_empty() {
                    blocks.push(Block::Code(text.trim_end_matches('\n').into()));
                }
            }
            Tag::Table(align) => blocks.push(Block::Table(self.table(&align))),
            Tag::List(start) => blocks.push(Block::List(start, self.items(end))),
            _ => blocks.push(Block::Quote(self.blocks(Some(end)))),
        }
    }

    fn items(&mut self, end: TagEnd) -> Vec<Vec<Block>> {
        let mut items = Vec::new();
        while let Some(event) = self.events.next() {
            match event {
                Event::Start(Tag::Item) => items.push(self.blocks(Some(TagEnd::Item))),
                Event::End(found) if found == end => break,
                _ => {}
            }
        }
        items
    }

    fn table(&mut self, align: &[Alignment]) -> Table {
        let mut rows = Vec::new();
        while let Some(event) = self.events.next() {
            match event {
                Event::Start(Tag::TableHead | Tag::TableRow) => rows.push(Vec::new()),
                Event::Start(Tag::TableCell) => {
                    let text = self.text(TagEnd::TableCell);
                    rows.last_mut()
                        .into_iter()
                        .for_each(|row: &mut Vec<Text>| row.push(text.clone()));
                }
                Event::End(TagEnd::Table) => break,
                _ => {}
            }
        }
        let mut rows = rows.into_iter();
        let head = rows.next().unwrap_or_default();
        let column = |(index, title): (usize, &Text)| Column {
            title: title.words(),
            align: match align.get(index) {
                Some(Alignment::Right) => Align::Right,
                _ => Align::Left,
            },
            is_wide: false,
        };
        let cells = |row: Vec<Text>| row.into_iter().map(Cell::from).collect::<Vec<_>>();
        let rows = rows.map(|row| TableRow::from(cells(row)));
        Table {
            columns: head.iter().enumerate().map(column).collect(),
            groups: vec![Group {
                title: None,
                rows: rows.collect(),
            }],
        }
    }

    fn text(&mut self, end: TagEnd) -> Text {
        let mut text = Text::default();
        while let Some(event) = self.events.next() {
            match event {
                Event::End(found) if found == end => break,
                event => self.inline(event, &mut text.0),
            }
        }
        text
    }

    fn inline(&mut self, event: Event<'a>, found: &mut Vec<Inline>) {
        let plain = |text: &str| Inline::Plain(text.into());
        match event {
            Event::Text(text) | Event::Html(text) | Event::InlineHtml(text) => {
                found.push(plain(&text));
            }
            Event::Code(text) => found.push(Inline::Code(text.into_string())),
            Event::SoftBreak => found.push(plain(" ")),
            Event::HardBreak => found.push(Inline::Break),
            Event::Start(tag) => {
                let text = self.text(tag.to_end());
                match tag {
                    Tag::Strong => found.push(Inline::Strong(text)),
                    Tag::Emphasis => found.push(Inline::Emphasis(text)),
                    Tag::Strikethrough => found.push(Inline::Struck(text)),
                    Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }
                        if is_safe_url(&dest_url) =>
                    {
                        let url = dest_url.into_string();
                        let text = if text.0.is_empty() {
                            Text::plain(&url)
                        } else {
                            text
                        };
                        found.push(Inline::Link { url, text });
                    }
                    _ => found.extend(text.0),
                }
            }
            _ => {}
        }
    }
}

fn is_block(tag: &Tag<'_>) -> bool {
    !matches!(
        tag,
        Tag::Strong | Tag::Emphasis | Tag::Strikethrough | Tag::Link { .. } | Tag::Image { .. }
    )
}

fn flush(blocks: &mut Vec<Block>, loose: &mut Text) {
    if !loose.0.is_empty() {
        let text = std::mem::take(loose);
        blocks.push(Block::Paragraph(text));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(text: &str) -> Inline {
        Inline::Plain(text.into())
    }

    fn paragraph(inlines: Vec<Inline>) -> Block {
        Block::Paragraph(Text(inlines))
    }

    #[test]
    fn the_usual_markdown_is_understood() {
        let blocks = read(
            "# Head\n\nSome **bold** `code`.\n\n- one\n- two\n\n3. three\n\n> said\n\n---\n\n```sh\nls\n```\n",
        );
        let want = [
            Block::Heading(1, Text::plain("Head")),
            paragraph(vec![
                plain("Some "),
                Inline::Strong(Text::plain("bold")),
                plain(" "),
                Inline::Code("code".into()),
                plain("."),
            ]),
            Block::List(
                None,
                vec![
                    vec![paragraph(vec![plain("one")])],
                    vec![paragraph(vec![plain("two")])],
                ],
            ),
            Block::List(Some(3), vec![vec![paragraph(vec![plain("three")])]]),
            Block::Quote(vec![paragraph(vec![plain("said")])]),
            Block::Rule,
            Block::Code("ls".into()),
        ];
        assert_eq!(blocks, want);
    }

    #[test]
    fn a_table_keeps_its_columns() {
        let blocks = read("| a | b |\n|---|--:|\n| 1 | 2 |\n");
        let [Block::Table(table)] = &blocks[..] else {
            panic!("{blocks:?}");
        };
        assert_eq!(table.columns[0].title, "a");
        assert_eq!(table.columns[1].align, Align::Right);
        assert_eq!(table.groups[0].rows[0].cells[1], Cell::plain("2"));
    }

    #[test]
    fn html_becomes_text_and_only_harmless_links_remain() {
        let blocks = read("a <b onclick='x'>c</b>\n\n<script>alert(1)</script>\n");
        assert_eq!(
            blocks,
            [
                paragraph(vec![
                    plain("a "),
                    plain("<b onclick='x'>"),
                    plain("c"),
                    plain("</b>")
                ]),
                Block::Code("<script>alert(1)</script>".into()),
            ]
        );
        let link = |url: &str| read(&format!("[words]({url})"));
        assert_eq!(
            link("javascript:alert(1)"),
            [paragraph(vec![plain("words")])]
        );
        let url = "https://example.org/";
        let want = Inline::Link {
            url: url.into(),
            text: Text::plain("words"),
        };
        assert_eq!(link(url), [paragraph(vec![want])]);
        // A picture would be loaded from elsewhere.
        let want = Inline::Link {
            url: url.into(),
            text: Text::plain("words"),
        };
        assert_eq!(read(&format!("![words]({url})")), [paragraph(vec![want])]);
    }

    #[test]
    fn depth_has_a_bound() {
        let blocks = read(&format!("{} deep", "> ".repeat(5_000)));
        let mut depth = 0;
        let mut inner = &blocks[..];
        while let [Block::Quote(blocks)] = inner {
            depth += 1;
            inner = blocks;
        }
        assert!(depth <= DEPTH_MAX, "{depth}");
        assert!(
            matches!(inner, [Block::Paragraph(text)] if text.words().contains("deep")),
            "{inner:?}"
        );
    }

    proptest! {
        #[test]
        fn no_notes_panic(text in "[-#>|*`~!\\[\\](){}<a-z0-9. \n\t]{0,200}") {
            let _ = read(&text);
        }
    }
}
