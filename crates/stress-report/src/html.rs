//! `report.html`: one file that needs nothing else, for screens light and dark, wide and narrow, and for paper.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::document::{
    Align, Block, Cell, Column, Document, Fact, Group, Image, Inline, Key, Picture, Pictures,
    Plate, Section, Table, TableRow, Text, Tile, Topic,
};

const STYLE: &str = include_str!("html/style.css");
/// Nothing may be loaded and nothing run: what the file does not hold it does not need.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The page.
pub(crate) fn render(document: &Document) -> String {
    let (title, subtitle) = (&document.title, &document.subtitle);
    let (byline, sections) = (&document.byline, &document.sections);
    let lang = document.lang;
    let page = html! {
        (DOCTYPE)
        html lang=(lang.as_str()) {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(foot(subtitle))) }
            }
            body {
                header {
                    h1 { (title) }
                    p.subtitle { (subtitle) }
                    @if !byline.is_empty() { (facts(byline, "byline")) }
                }
                nav aria-label=(lang.text("html.contents")) {
                    ul { @for section in sections { li { a href=(format!("#{}", section.id)) { (section.title) } } } }
                }
                main { @for section in sections { (part(section)) } }
            }
        }
    };
    page.into_string()
}

/// What stands at the foot of every printed page, beside its number.
fn foot(words: &str) -> String {
    let mut quoted = String::new();
    for c in words.chars() {
        match c.is_alphanumeric() {
            true => quoted.push(c),
            // Nothing that could end the string, or the style.
            false => quoted.push_str(&format!("\\{:x} ", u32::from(c))),
        }
    }
    format!("@page {{ @bottom-left {{ content: \"{quoted}\"; }} }}\n")
}

fn part(section: &Section) -> Markup {
    html! {
        section id=(section.id) {
            h2 { (section.title) }
            @for found in &section.blocks { (block(found)) }
        }
    }
}

fn block(block: &Block) -> Markup {
    match block {
        Block::Heading(1, text) => html! { h3 { (words(text)) } },
        Block::Heading(2, text) => html! { h4 { (words(text)) } },
        Block::Heading(3, text) => html! { h5 { (words(text)) } },
        Block::Heading(_, text) => html! { h6 { (words(text)) } },
        Block::Paragraph(text) => html! { p { (words(text)) } },
        Block::List(start, items) => list(*start, items),
        Block::Quote(blocks) => html! {
            blockquote { @for inner in blocks { (self::block(inner)) } }
        },
        Block::Code(text) => html! { pre tabindex="0" { code { (text) } } },
        Block::Rule => html! { hr; },
        Block::Facts(all) => facts(all, "facts"),
        Block::Tiles(all) => tiles(all),
        Block::Topics(all) => topics(all),
        Block::Table(found) => table(found),
        Block::Plate(found) => plate(found),
        Block::Pictures(found) => pictures(found),
        Block::Folded(title, blocks) => html! {
            details { summary { (title) } @for inner in blocks { (self::block(inner)) } }
        },
        Block::Image(found) => image(found),
    }
}

fn list(start: Option<u64>, items: &[Vec<Block>]) -> Markup {
    let item = |blocks: &Vec<Block>| match &blocks[..] {
        [Block::Paragraph(text)] => html! { li { (words(text)) } },
        blocks => html! { li { @for inner in blocks { (block(inner)) } } },
    };
    match start {
        Some(start) => html! { ol start=(start) { @for blocks in items { (item(blocks)) } } },
        None => html! { ul { @for blocks in items { (item(blocks)) } } },
    }
}

fn words(text: &Text) -> Markup {
    html! { @for inline in &text.0 { (word(inline)) } }
}

fn word(inline: &Inline) -> Markup {
    match inline {
        Inline::Plain(text) => html! { (text) },
        Inline::Code(text) => html! { code { (text) } },
        Inline::Strong(text) => html! { strong { (words(text)) } },
        Inline::Emphasis(text) => html! { em { (words(text)) } },
        Inline::Struck(text) => html! { s { (words(text)) } },
        Inline::Link { url, text } => html! { a href=(url) rel="noreferrer" { (words(text)) } },
        Inline::Break => html! { br; },
    }
}

fn facts(facts: &[Fact], class: &str) -> Markup {
    html! {
        dl class=(class) {
            @for Fact { name, value } in facts { div { dt { (name) } dd { (words(value)) } } }
        }
    }
}

fn tiles(tiles: &[Tile]) -> Markup {
    html! {
        ul.tiles {
            @for Tile { figure, label, is_bad } in tiles {
                li class=[is_bad.then_some("bad")] { strong { (figure) } span { (label) } }
            }
        }
    }
}

fn topics(topics: &[Topic]) -> Markup {
    html! {
        div.topics {
            @for Topic { title, sentences } in topics {
                div { h3 { (title) } ul { @for sentence in sentences { li { (words(sentence)) } } } }
            }
        }
    }
}

fn table(table: &Table) -> Markup {
    let width = table.columns.len();
    html! {
        div.wide tabindex="0" {
            table class=[is_prose(table).then_some("prose")] {
                thead { tr { @for Column { title, align, .. } in &table.columns {
                    th scope="col" class=[class(*align, false)] { (title) }
                } } }
                @for Group { title, rows } in &table.groups {
                    tbody {
                        @if let Some(title) = title {
                            tr.group { th scope="rowgroup" colspan=(width) { (title) } }
                        }
                        @for row in rows { (table_row(row, &table.columns)) }
                    }
                }
            }
        }
    }
}

fn is_prose(table: &Table) -> bool {
    table.columns.iter().any(|column| column.is_wide)
}

fn table_row(row: &TableRow, columns: &[Column]) -> Markup {
    html! {
        tr class=[row.trouble.is_some().then_some("bad")] {
            @for (Cell { text, aside, is_bad }, column) in row.cells.iter().zip(columns) {
                td class=[class(column.align, *is_bad)] {
                    (words(text))
                    @if let Some(aside) = aside { " " small { (aside) } }
                }
            }
        }
        @if let Some(trouble) = &row.trouble {
            tr.why { td colspan=(columns.len()) { "↳ " (trouble) } }
        }
    }
}

fn class(align: Align, is_bad: bool) -> Option<&'static str> {
    match (align, is_bad) {
        (Align::Right, true) => Some("n fault"),
        (Align::Right, false) => Some("n"),
        (Align::Left, true) => Some("fault"),
        (Align::Left, false) => None,
    }
}

fn plate(plate: &Plate) -> Markup {
    html! {
        figure.plate {
            (caption(&plate.title, &plate.caption, &plate.legend))
            div class=(format!("panels of{}", plate.columns)) tabindex="0" {
                @for panel in &plate.panels { (panel.to_html()) }
            }
        }
    }
}

fn caption(title: &str, how: &Text, legend: &[Key]) -> Markup {
    html! {
        figcaption { strong { (title) } " " span { (words(how)) } }
        @if !legend.is_empty() {
            ul.legend { @for key in legend { li { (key.swatch.to_html()) span { (key.label) } } } }
        }
    }
}

fn pictures(all: &Pictures) -> Markup {
    html! {
        figure.plate {
            (caption(&all.title, &all.caption, &all.legend))
            div class=(if all.is_wide { "strips" } else { "pictures" }) {
                @for Picture { title, chart, sentences } in &all.pictures {
                    div {
                        h3 { (title) }
                        @if all.is_wide { div.wide tabindex="0" { (chart.to_html()) } } @else { (chart.to_html()) }
                        p { (words(sentences)) }
                    }
                }
            }
        }
    }
}

fn image(image: &Image) -> Markup {
    let data = format!(
        "data:{};base64,{}",
        image.media_type,
        STANDARD.encode(&image.bytes)
    );
    html! {
        figure.capture {
            img src=(data) alt=(image.caption);
            figcaption { (image.caption) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_at_a_pages_foot_cannot_leave_their_string() {
        let rule = foot("a-1 \"; } </style> \\ é");
        let want = r#"content: "a\2d 1\20 \22 \3b \20 \7d \20 \3c \2f style\3e \20 \5c \20 é";"#;
        assert!(rule.contains(want), "{rule}");
    }
}
