//! A report as a tree of sections and blocks, in one language: what every format is rendered from.

use super::lang::Lang;
use super::svg::Svg;

/// The whole of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its language.
    pub lang: Lang,
    /// What it is about.
    pub title: String,
    /// Which run, and when.
    pub subtitle: String,
    /// Who hands it in, for which class: names and values.
    pub byline: Vec<Fact>,
    /// Its parts, in order.
    pub sections: Vec<Section>,
}

/// A part with a heading of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// For links to it; the same in every language.
    pub id: &'static str,
    /// Its heading.
    pub title: String,
    /// What is in it.
    pub blocks: Vec<Block>,
}

/// What stands on lines of its own.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A heading inside a section; 1 is the largest.
    Heading {
        /// From 1 to 4.
        level: u8,
        /// Its words.
        text: Text,
    },
    /// A paragraph.
    Paragraph {
        /// Its words.
        text: Text,
    },
    /// A list.
    List {
        /// The first number, or none for bullets.
        start: Option<u64>,
        /// Its items.
        items: Vec<Vec<Block>>,
    },
    /// A quotation.
    Quote {
        /// What is quoted.
        blocks: Vec<Block>,
    },
    /// Lines to be typed, or a program's.
    Code {
        /// As they are.
        text: String,
    },
    /// A line across.
    Rule,
    /// Names with their values.
    Facts {
        /// In order.
        facts: Vec<Fact>,
    },
    /// The few figures that a reader wants first.
    Tiles {
        /// In order.
        tiles: Vec<Tile>,
    },
    /// Lists under headings of their own, that may stand beside each other.
    Topics {
        /// In order.
        topics: Vec<Topic>,
    },
    /// A table.
    Table(Table),
    /// Charts that are read together.
    Plate(Plate),
    /// A picture from a file of the author's.
    Image(Image),
}

impl Block {
    /// A paragraph of `text`, in which backticks enclose code.
    #[must_use]
    pub fn paragraph(text: impl AsRef<str>) -> Self {
        Self::Paragraph {
            text: Text::marked(text.as_ref()),
        }
    }

    /// A heading inside a section.
    #[must_use]
    pub fn heading(text: impl AsRef<str>) -> Self {
        Self::Heading {
            level: 1,
            text: Text::plain(text.as_ref()),
        }
    }

    /// A list of paragraphs.
    #[must_use]
    pub fn bullets(items: Vec<Text>) -> Self {
        Self::List {
            start: None,
            items: items
                .into_iter()
                .map(|text| vec![Self::Paragraph { text }])
                .collect(),
        }
    }
}

/// Words of one paragraph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(pub Vec<Inline>);

/// Words that look alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inline {
    /// As they are.
    Plain {
        /// The words.
        text: String,
    },
    /// To be typed, or a program's.
    Code {
        /// The words.
        text: String,
    },
    /// Important.
    Strong {
        /// The words.
        text: Text,
    },
    /// Stressed.
    Emphasis {
        /// The words.
        text: Text,
    },
    /// Crossed out.
    Struck {
        /// The words.
        text: Text,
    },
    /// Leading elsewhere.
    Link {
        /// Where: `http:`, `https:` or `mailto:`.
        url: String,
        /// The words.
        text: Text,
    },
    /// The end of a line.
    Break,
}

impl Text {
    /// `text` as it is.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self(vec![Inline::Plain { text: text.into() }])
    }

    /// `text` as code.
    #[must_use]
    pub fn code(text: impl Into<String>) -> Self {
        Self(vec![Inline::Code { text: text.into() }])
    }

    /// `text`, in which backticks enclose code.
    #[must_use]
    pub fn marked(text: &str) -> Self {
        let parts = text.split('`').enumerate();
        let inlines = parts.filter(|(_, part)| !part.is_empty());
        Self(
            inlines
                .map(|(index, part)| match index % 2 {
                    0 => Inline::Plain { text: part.into() },
                    _ => Inline::Code { text: part.into() },
                })
                .collect(),
        )
    }

    /// A link if `url` is one that may be followed, else its words.
    #[must_use]
    pub fn link(url: &str) -> Self {
        match is_safe_url(url) {
            true => Self(vec![Inline::Link {
                url: url.into(),
                text: Self::plain(url),
            }]),
            false => Self::plain(url),
        }
    }

    /// The words alone.
    #[must_use]
    pub fn words(&self) -> String {
        self.0
            .iter()
            .map(|inline| match inline {
                Inline::Plain { text } | Inline::Code { text } => text.clone(),
                Inline::Strong { text }
                | Inline::Emphasis { text }
                | Inline::Struck { text }
                | Inline::Link { text, .. } => text.words(),
                Inline::Break => " ".into(),
            })
            .collect()
    }
}

/// Whether a link to `url` may be made: of a scheme that only ever leads somewhere.
#[must_use]
pub fn is_safe_url(url: &str) -> bool {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme);
    let allowed = ["http", "https", "mailto"];
    scheme.is_some_and(|scheme| {
        allowed
            .iter()
            .any(|allowed| scheme.eq_ignore_ascii_case(allowed))
    })
}

/// A name with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What.
    pub name: String,
    /// Which.
    pub value: Text,
}

impl Fact {
    /// A fact in plain words.
    #[must_use]
    pub fn plain(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: Text::plain(value),
        }
    }

    /// A fact whose value is code.
    #[must_use]
    pub fn code(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: Text::code(value),
        }
    }
}

/// A figure in large type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// The figure.
    pub figure: String,
    /// What it is.
    pub label: String,
    /// Whether it is a bad one.
    pub is_bad: bool,
}

/// Sentences about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// The thing.
    pub title: String,
    /// What is to be said about it.
    pub sentences: Vec<Text>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, grouped.
    pub groups: Vec<Group>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub title: String,
    /// Where its cells stand.
    pub align: Align,
    /// Whether its cells are long texts, which wrap and take what is left of the width.
    pub is_wide: bool,
}

impl Column {
    /// A column of numbers.
    #[must_use]
    pub fn number(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            align: Align::Right,
            is_wide: false,
        }
    }

    /// A column of words.
    #[must_use]
    pub fn word(title: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            align: Align::Left,
            is_wide: false,
        }
    }

    /// A column of sentences.
    #[must_use]
    pub fn prose(title: impl Into<String>) -> Self {
        Self {
            is_wide: true,
            ..Self::word(title)
        }
    }
}

/// Where the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under a heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The heading, if they have one.
    pub title: Option<String>,
    /// The rows.
    pub rows: Vec<TableRow>,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRow {
    /// One for each column.
    pub cells: Vec<Cell>,
    /// What is wrong with it, if something is: shown below it, and the row is marked.
    pub trouble: Option<String>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cell {
    /// What it says.
    pub text: Text,
    /// What stands beside it in small type.
    pub aside: Option<String>,
    /// Whether it is what is wrong.
    pub is_bad: bool,
}

impl Cell {
    /// A cell of plain words or a number.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            text: Text::plain(text),
            ..Self::default()
        }
    }

    /// A cell of code.
    #[must_use]
    pub fn code(text: impl Into<String>) -> Self {
        Self {
            text: Text::code(text),
            ..Self::default()
        }
    }
}

/// Charts that are read together.
#[derive(Debug, Clone, PartialEq)]
pub struct Plate {
    /// What they show.
    pub title: String,
    /// How to read them.
    pub caption: Text,
    /// What the colours and shapes stand for.
    pub legend: Vec<Key>,
    /// How many stand beside each other where there is room.
    pub columns: usize,
    /// The charts.
    pub panels: Vec<Svg>,
}

/// An entry of a legend.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// How it is drawn.
    pub swatch: Svg,
    /// What it is.
    pub label: String,
}

/// A picture from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// A name for a file of its own beside the report.
    pub name: String,
    /// What stands below it.
    pub caption: String,
    /// Its media type.
    pub media_type: &'static str,
    /// The file's content.
    pub bytes: Vec<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backticks_enclose_code() {
        let plain = |text: &str| Inline::Plain { text: text.into() };
        let code = |text: &str| Inline::Code { text: text.into() };
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
