//! A report as a tree of sections and blocks, in one language: what every format is rendered from.

use super::lang::Lang;
use super::svg::Svg;

#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    pub(crate) lang: Lang,
    pub(crate) title: String,
    /// Which run, and when.
    pub(crate) subtitle: String,
    /// Who hands it in, for which class.
    pub(crate) byline: Vec<Fact>,
    pub(crate) sections: Vec<Section>,
}

/// A part with a heading of its own.
#[derive(Debug, PartialEq)]
pub(crate) struct Section {
    /// For links to it; the same in every language.
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) blocks: Vec<Block>,
}

impl Section {
    pub(crate) fn new(id: &'static str, title: &str, blocks: Vec<Block>) -> Self {
        let title = title.into();
        Self { id, title, blocks }
    }
}

/// What stands on lines of its own.
#[derive(Debug, PartialEq)]
pub(crate) enum Block {
    /// A heading inside a section, of a level from 1, the largest, to 4.
    Heading(u8, Text),
    Paragraph(Text),
    /// A list: its first number, or none for bullets, and its items.
    List(Option<u64>, Vec<Vec<Block>>),
    Quote(Vec<Block>),
    /// Lines to be typed, or a program's.
    Code(String),
    /// A line across.
    Rule,
    Facts(Vec<Fact>),
    /// The few figures that a reader wants first.
    Tiles(Vec<Tile>),
    /// Lists under headings of their own, that may stand beside each other.
    Topics(Vec<Topic>),
    Table(Table),
    /// Charts that are read together.
    Plate(Plate),
    /// Charts that answer a question each, with the answer in words.
    Pictures(Pictures),
    /// What most readers pass over, behind a line that says what it is.
    Folded(String, Vec<Block>),
    /// A picture from a file of the author's.
    Image(Image),
}

impl Block {
    /// A paragraph of `text`, in which backticks enclose code.
    pub(crate) fn paragraph(text: impl AsRef<str>) -> Self {
        Self::Paragraph(Text::marked(text.as_ref()))
    }

    pub(crate) fn heading(text: impl AsRef<str>) -> Self {
        Self::Heading(1, Text::plain(text.as_ref()))
    }
}

/// Words of one paragraph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Text(pub(crate) Vec<Inline>);

/// Words that look alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inline {
    Plain(String),
    Code(String),
    Strong(Text),
    Emphasis(Text),
    Struck(Text),
    /// Leading elsewhere.
    Link {
        /// Of a scheme that [`is_safe_url`] lets through.
        url: String,
        text: Text,
    },
    /// The end of a line.
    Break,
}

impl Text {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self(vec![Inline::Plain(text.into())])
    }

    pub(crate) fn code(text: impl Into<String>) -> Self {
        Self(vec![Inline::Code(text.into())])
    }

    /// `text`, in which backticks enclose code.
    pub(crate) fn marked(text: &str) -> Self {
        let parts = text.split('`').enumerate();
        let parts = parts.filter(|(_, part)| !part.is_empty());
        let inline = |(index, part): (usize, &str)| match index % 2 {
            0 => Inline::Plain(part.into()),
            _ => Inline::Code(part.into()),
        };
        Self(parts.map(inline).collect())
    }

    /// A link if `url` is one that may be followed, else its words.
    pub(crate) fn link(url: &str) -> Self {
        let text = Self::plain(url);
        let url = url.to_owned();
        match is_safe_url(&url) {
            true => Self(vec![Inline::Link { url, text }]),
            false => text,
        }
    }

    /// The words alone.
    pub(crate) fn words(&self) -> String {
        let words = |inline: &Inline| match inline {
            Inline::Plain(text) | Inline::Code(text) => text.clone(),
            Inline::Strong(text)
            | Inline::Emphasis(text)
            | Inline::Struck(text)
            | Inline::Link { text, .. } => text.words(),
            Inline::Break => " ".into(),
        };
        self.0.iter().map(words).collect()
    }
}

/// Whether a link to `url` may be made: of a scheme that only ever leads somewhere.
pub(crate) fn is_safe_url(url: &str) -> bool {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    let is_allowed = |scheme: &str| {
        let allowed = ["http", "https", "mailto"];
        allowed.iter().any(|it| it.eq_ignore_ascii_case(scheme))
    };
    scheme.is_some_and(is_allowed)
}

/// A name with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) name: String,
    pub(crate) value: Text,
}

impl Fact {
    pub(crate) fn plain(name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), Text::plain(value));
        Self { name, value }
    }

    pub(crate) fn code(name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), Text::code(value));
        Self { name, value }
    }
}

/// A figure in large type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) figure: String,
    /// What it is.
    pub(crate) label: String,
    pub(crate) is_bad: bool,
}

/// Sentences about one thing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) title: String,
    pub(crate) sentences: Vec<Text>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) groups: Vec<Group>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) title: String,
    pub(crate) align: Align,
    /// Whether its cells are long texts, which wrap and take what is left of the width.
    pub(crate) is_wide: bool,
}

impl Column {
    pub(crate) fn number(title: impl Into<String>) -> Self {
        Self {
            align: Align::Right,
            ..Self::word(title)
        }
    }

    pub(crate) fn word(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            align: Align::Left,
            is_wide: false,
        }
    }

    /// A column of sentences.
    pub(crate) fn prose(title: impl Into<String>) -> Self {
        Self {
            is_wide: true,
            ..Self::word(title)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a heading, if they have one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) title: Option<String>,
    pub(crate) rows: Vec<TableRow>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TableRow {
    /// One for each column.
    pub(crate) cells: Vec<Cell>,
    /// What is wrong with it, if something is: shown below it, and the row is marked.
    pub(crate) trouble: Option<String>,
}

impl From<Vec<Cell>> for TableRow {
    fn from(cells: Vec<Cell>) -> Self {
        let trouble = None;
        Self { cells, trouble }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cell {
    pub(crate) text: Text,
    /// What stands beside it in small type.
    pub(crate) aside: Option<String>,
    /// Whether it is what is wrong.
    pub(crate) is_bad: bool,
}

impl From<Text> for Cell {
    fn from(text: Text) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}

impl Cell {
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Text::plain(text).into()
    }

    /// A cell of such, if there is any.
    pub(crate) fn maybe(text: Option<String>) -> Self {
        Self::plain(text.unwrap_or_default())
    }
}

#[derive(Debug, PartialEq)]
pub(crate) struct Plate {
    /// What the charts show.
    pub(crate) title: String,
    /// How to read them.
    pub(crate) caption: Text,
    /// What the colours and shapes stand for.
    pub(crate) legend: Vec<Key>,
    /// How many stand beside each other where there is room.
    pub(crate) columns: usize,
    pub(crate) panels: Vec<Svg>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Pictures {
    /// What the charts show.
    pub(crate) title: String,
    /// How to read them.
    pub(crate) caption: Text,
    /// What the colours and shapes stand for in all of them.
    pub(crate) legend: Vec<Key>,
    pub(crate) pictures: Vec<Picture>,
    /// Whether each takes the whole width, and is scrolled where there is less.
    pub(crate) is_wide: bool,
}

#[derive(Debug, PartialEq)]
pub(crate) struct Picture {
    pub(crate) title: String,
    pub(crate) chart: Svg,
    /// What it says.
    pub(crate) sentences: Text,
}

/// An entry of a legend.
#[derive(Debug, PartialEq)]
pub(crate) struct Key {
    pub(crate) swatch: Svg,
    pub(crate) label: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image {
    /// A name for a file of its own beside the report.
    pub(crate) name: String,
    /// What stands below it.
    pub(crate) caption: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_enclose_code() {
        let plain = |text: &str| Inline::Plain(text.into());
        let code = |text: &str| Inline::Code(text.into());
        assert_eq!(
            Text::marked("say `--pdf` here"),
            Text(vec![plain("say "), code("--pdf"), plain(" here")])
        );
        assert_eq!(Text::marked("`a`"), Text(vec![code("a")]));
        assert_eq!(Text::marked("say `--pdf` here").words(), "say --pdf here");
    }

    #[test]
    fn only_links_that_lead_somewhere_are_made() {
        for url in ["https://example.org/x", "HTTP://a", "mailto:me@example.org"] {
            assert!(is_safe_url(url), "{url}");
            assert!(matches!(Text::link(url).0[..], [Inline::Link { .. }]));
        }
        for url in [
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///x",
            "x",
            "",
        ] {
            assert!(!is_safe_url(url), "{url}");
            assert_eq!(Text::link(url), Text::plain(url));
        }
    }
}
