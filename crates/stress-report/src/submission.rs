//! What a submission must contain besides the figures: who hands it in, where the sources are, notes, screenshots.

mod files;
mod memory;

use std::path::{Path, PathBuf};

use stress_data::Unusable;
use stress_data::size;
use stress_data::verify::class::HandedIn;

use super::document::{Block, Fact, Image, Section, Text};
use super::lang::Lang;
use super::notes;

pub use memory::FILE_NAME;

/// What of it is given anew, and what is forgotten first.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// The authors, if there are any.
    pub authors: Vec<String>,
    /// Their numbers, in the same order.
    pub student_ids: Vec<String>,
    /// The class.
    pub class: Option<String>,
    /// Where the sources are.
    pub repository: Option<String>,
    /// The file of the notes.
    pub notes: Option<PathBuf>,
    /// The files of the screenshots.
    pub captures: Vec<PathBuf>,
    /// The language.
    pub lang: Option<Lang>,
    /// What is forgotten.
    pub forget: Vec<Item>,
}

stress_data::words! {
    /// What of it can be forgotten.
    pub enum Item {
        /// All of it, the language too.
        All = "all",
        /// The authors and their numbers.
        Author = "author",
        /// The authors' numbers.
        StudentId = "student-id",
        /// The class.
        Class = "class",
        /// Where the sources are.
        Repository = "repository",
        /// The notes.
        Notes = "notes",
        /// The screenshots.
        Capture = "capture",
        /// The language.
        Lang = "lang",
    }
}

/// The same, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Submission {
    lang: Lang,
    authors: Vec<String>,
    /// None, or one for each author.
    student_ids: Vec<String>,
    class: Option<String>,
    repository: Option<String>,
    /// In Markdown.
    notes: Option<String>,
    captures: Vec<Image>,
}

impl Submission {
    /// The same with what is `given`. The files that it names are read.
    ///
    /// # Errors
    /// [`Unusable`] names the flag and says what is wrong with its value.
    pub fn changed_by(mut self, given: &Given) -> Result<Self, Unusable> {
        for item in &given.forget {
            self.forget(*item);
        }
        if let Some(lang) = given.lang {
            self.lang = lang;
        }
        if !given.authors.is_empty() {
            self.authors.clone_from(&given.authors);
        }
        if !given.student_ids.is_empty() {
            self.student_ids.clone_from(&given.student_ids);
        }
        self.class = given.class.clone().or(self.class);
        self.repository = given.repository.clone().or(self.repository);
        if let Some(path) = &given.notes {
            self.notes = Some(files::read_notes(path, "--notes")?);
        }
        if !given.captures.is_empty() {
            let captures = given.captures.iter().enumerate();
            self.captures = captures
                .map(|(index, path)| read_capture(path, index))
                .collect::<Result<_, _>>()?;
        }
        self.check_ids().map_err(|wrong| {
            Unusable(format!(
                "{wrong}: give --student-id once for each --author, in the same order, or --forget=student-id"
            ))
        })?;
        Ok(self)
    }

    fn forget(&mut self, item: Item) {
        match item {
            Item::All => *self = Self::default(),
            Item::Author => {
                self.authors.clear();
                self.student_ids.clear();
            }
            Item::StudentId => self.student_ids.clear(),
            Item::Class => self.class = None,
            Item::Repository => self.repository = None,
            Item::Notes => self.notes = None,
            Item::Capture => self.captures.clear(),
            Item::Lang => self.lang = Lang::default(),
        }
    }

    fn check_ids(&self) -> Result<(), String> {
        let (authors, ids) = (self.authors.len() as u64, self.student_ids.len() as u64);
        if ids == 0 || ids == authors {
            return Ok(());
        }
        let authors = size::counted(authors, "author");
        Err(format!(
            "{authors} and {}",
            size::counted(ids, "student id")
        ))
    }

    /// Who hands it in.
    pub(crate) fn handed_in(self) -> HandedIn {
        HandedIn {
            authors: self.authors,
            student_ids: self.student_ids,
            class: self.class,
        }
    }

    /// The language of the report.
    pub(crate) const fn lang(&self) -> Lang {
        self.lang
    }

    pub(super) fn byline(&self, lang: Lang) -> Vec<Fact> {
        let author = |(index, name): (usize, &String)| match self.student_ids.get(index) {
            Some(id) => format!("{name} ({id})"),
            None => name.clone(),
        };
        let authors: Vec<String> = self.authors.iter().enumerate().map(author).collect();
        let mut facts = Vec::new();
        if !authors.is_empty() {
            let name = lang.text(match authors.len() {
                1 => "submission.author",
                _ => "submission.authors",
            });
            facts.push(Fact::plain(name, authors.join(", ")));
        }
        if let Some(class) = &self.class {
            facts.push(Fact::plain(lang.text("submission.class"), class));
        }
        if let Some(url) = &self.repository {
            facts.push(Fact {
                name: lang.text("submission.repository").into(),
                value: Text::link(url),
            });
        }
        facts
    }

    /// All of it in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut parts = vec![
            match self.lang {
                Lang::En => "in English",
                Lang::Id => "in Indonesian",
            }
            .to_owned(),
        ];
        let fact = |fact: &Fact| format!("{}: {}", fact.name, fact.value.words());
        parts.extend(self.byline(Lang::En).iter().map(fact));
        if self.notes.is_some() {
            parts.push("notes".into());
        }
        if !self.captures.is_empty() {
            parts.push(size::counted(self.captures.len() as u64, "screenshot"));
        }
        parts.join("; ")
    }

    pub(super) fn sections(&self, lang: Lang) -> Vec<Section> {
        let mut sections = Vec::new();
        if let Some(notes) = &self.notes {
            sections.push(Section::new(
                "notes",
                lang.text("submission.notes"),
                notes::read(notes),
            ));
        }
        if !self.captures.is_empty() {
            sections.push(Section::new(
                "captures",
                lang.text("submission.screenshots"),
                self.captures.iter().cloned().map(Block::Image).collect(),
            ));
        }
        sections
    }
}

/// One line of text that says something.
///
/// # Errors
/// What is wrong with it.
pub fn word(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".into()),
        text if text.chars().any(char::is_control) => Err("it must be one line of text".into()),
        text => Ok(text.to_owned()),
    }
}

fn read_capture(path: &Path, index: usize) -> Result<Image, Unusable> {
    let (media_type, ending, bytes) = files::read_picture(path, "--capture")?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_lowercase(),
        false => '-',
    };
    let plain: String = stem.chars().map(plain).take(40).collect();
    Ok(Image {
        name: format!("{:02}-{plain}.{ending}", index + 1),
        caption: stem.into_owned(),
        media_type,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::files::NOTES_BYTES_MAX;
    use super::*;

    const PNG: &[u8] = include_bytes!("../../stress/tests/pixel.png");

    fn given(change: impl FnOnce(&mut Given)) -> Given {
        let mut given = Given::default();
        change(&mut given);
        given
    }

    #[test]
    fn files_that_cannot_be_used_are_named_with_their_flag() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let check = |it: Given, part: &str| {
            let error = Submission::default()
                .changed_by(&it)
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{error}");
        };
        let notes = |path: PathBuf| given(|it| it.notes = Some(path));
        let capture = |path: PathBuf| given(|it| it.captures = vec![path]);
        check(
            notes(folder.path().join("none.md")),
            "none.md: No such file",
        );
        check(notes(folder.path().into()), "it is not a file");
        check(notes(file("binary.md", b"\xff\xfe\x00")), "--notes");
        check(notes(file("empty.md", b" \n")), "it is empty");
        check(
            notes(file("long.md", &vec![b'a'; (NOTES_BYTES_MAX + 1) as usize])),
            "larger than 4M",
        );
        check(capture(file("text.png", b"not a picture")), "--capture");
        check(capture(file("drawing.svg", b"<svg/>")), "none of PNG");
        check(
            given(|it| it.student_ids = vec!["1".into()]),
            "0 authors and 1 student id: give --student-id once for each --author",
        );
        check(
            given(|it| {
                it.authors = vec!["Ani".into(), "Budi".into()];
                it.student_ids = vec!["1".into()];
            }),
            "2 authors and 1 student id: give",
        );
        let magic = &PNG[..8];
        check(capture(file("bad.png", magic)), "bad.png: it is damaged");
        let junk = [magic, &[0x55; 99]].concat();
        check(capture(file("junk.png", &junk)), "its header gives no size");
        let mut flat = PNG.to_vec();
        flat[16..20].fill(0);
        check(capture(file("flat.png", &flat)), "header says 0 × 1 pixels");
        check(capture(file("bad.jpg", b"\xff\xd8\xffjunk")), "damaged");
        check(capture(file("bad.gif", b"GIF89a\0")), "damaged");
        check(
            capture(file("bad.webp", b"RIFF\0\0\0\0WEBPjunk")),
            "damaged",
        );
    }

    #[test]
    fn authors_have_their_numbers_and_pictures_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Layar <1>.dat");
        std::fs::write(&path, PNG).unwrap();
        let submission = Submission::default()
            .changed_by(&given(|it| {
                it.authors = vec!["Ani".into(), "Budi".into()];
                it.student_ids = vec!["5025".into(), "5026".into()];
                it.repository = Some("javascript:x".into());
                it.captures = vec![path];
            }))
            .unwrap();
        let byline = submission.byline(Lang::Id);
        assert_eq!(
            byline[0],
            Fact::plain("Penyusun", "Ani (5025), Budi (5026)")
        );
        assert_eq!(byline[1], Fact::plain("Repositori", "javascript:x"));
        let [image] = &submission.captures[..] else {
            panic!("one picture");
        };
        assert_eq!(image.name, "01-layar--1-.png");
        assert_eq!(image.caption, "Layar <1>");
        assert_eq!(image.media_type, "image/png");
        assert_eq!(submission.sections(Lang::En).len(), 1);
    }
}
