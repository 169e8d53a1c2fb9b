//! What a submission must contain besides the figures: who hands it in, where the sources are, notes, screenshots.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::document::{Block, Fact, Image, Section, Text};
use super::lang::Lang;
use super::notes;
use crate::run::Unusable;
use crate::size;

/// The longest notes: a report of that length nobody reads.
const NOTES_BYTES_MAX: u64 = 4 << 20;
/// The largest screenshot. It goes into the page whole, as text a third longer.
const CAPTURE_BYTES_MAX: u64 = 16 << 20;

/// Pixels of a side: no more fit into the headers of JPEG and GIF.
const CAPTURE_SIDE_MAX: usize = 65_535;

/// What of it is on the command line.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "What a submission must contain")]
pub struct SubmissionArgs {
    /// Who hands the report in; once for each author.
    #[arg(long, value_name = "NAME", value_parser = word)]
    pub author: Vec<String>,

    /// The author's student number; once for each author, in the same order.
    #[arg(long, value_name = "ID", value_parser = word)]
    pub student_id: Vec<String>,

    /// The class it is for.
    #[arg(long, value_name = "TEXT", value_parser = word)]
    pub class: Option<String>,

    /// Where the sources are; a link if it starts with https.
    #[arg(long, value_name = "URL", value_parser = word)]
    pub repository: Option<String>,

    /// Notes of your own, in Markdown, for a section of their own.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub notes: Option<PathBuf>,

    /// Screenshots (PNG, JPEG, GIF or WebP), put into the report whole; name runs before this flag.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath, num_args = 1..)]
    pub capture: Vec<PathBuf>,
}

/// The same, read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Submission {
    authors: Vec<(String, Option<String>)>,
    class: Option<String>,
    repository: Option<String>,
    notes: Vec<Block>,
    captures: Vec<Image>,
}

impl Submission {
    /// Reads the files that `args` name.
    ///
    /// # Errors
    /// [`Unusable`] names the flag and says what is wrong with its value.
    pub fn read(args: &SubmissionArgs) -> Result<Self, Unusable> {
        let (authors, ids) = (args.author.len() as u64, args.student_id.len() as u64);
        if ids != 0 && ids != authors {
            return Err(Unusable(format!(
                "{} and {}: give --student-id once for each --author, in the same order",
                size::counted(authors, "author"),
                size::counted(ids, "student id"),
            )));
        }
        let ids = args.student_id.iter().cloned().map(Some);
        let ids = ids.chain(std::iter::repeat(None));
        Ok(Self {
            authors: args.author.iter().cloned().zip(ids).collect(),
            class: args.class.clone(),
            repository: args.repository.clone(),
            notes: match &args.notes {
                Some(path) => notes::read(&read_notes(path)?),
                None => Vec::new(),
            },
            captures: args
                .capture
                .iter()
                .enumerate()
                .map(|(index, path)| read_capture(path, index))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The screenshots.
    #[must_use]
    pub fn captures(&self) -> &[Image] {
        &self.captures
    }

    pub(super) fn byline(&self, lang: Lang) -> Vec<Fact> {
        let author = |(name, id): &(String, Option<String>)| match id {
            Some(id) => format!("{name} ({id})"),
            None => name.clone(),
        };
        let authors: Vec<String> = self.authors.iter().map(author).collect();
        let mut facts = Vec::new();
        if !authors.is_empty() {
            let name = match authors.len() {
                1 => lang.of("Author", "Penyusun"),
                _ => lang.of("Authors", "Penyusun"),
            };
            facts.push(Fact::plain(name, authors.join(", ")));
        }
        if let Some(class) = &self.class {
            facts.push(Fact::plain(lang.of("Class", "Kelas"), class));
        }
        if let Some(url) = &self.repository {
            facts.push(Fact {
                name: lang.of("Repository", "Repositori").into(),
                value: Text::link(url),
            });
        }
        facts
    }

    pub(super) fn sections(&self, lang: Lang) -> Vec<Section> {
        let mut sections = Vec::new();
        if !self.notes.is_empty() {
            sections.push(Section {
                id: "notes",
                title: lang.of("Notes", "Catatan").into(),
                blocks: self.notes.clone(),
            });
        }
        if !self.captures.is_empty() {
            sections.push(Section {
                id: "captures",
                title: lang.of("Screenshots", "Tangkapan layar").into(),
                blocks: self.captures.iter().cloned().map(Block::Image).collect(),
            });
        }
        sections
    }
}

fn word(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("it is empty".into()),
        text if text.chars().any(char::is_control) => Err("it must be one line of text".into()),
        text => Ok(text.to_owned()),
    }
}

fn read_notes(path: &Path) -> Result<String, Unusable> {
    let bytes = read_file(path, "--notes", NOTES_BYTES_MAX)?;
    let wrong = |message| Unusable(format!("--notes {}: {message}", path.display()));
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not text in UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match text.trim() {
        "" => Err(wrong("it is empty")),
        _ => Ok(text.to_owned()),
    }
}

fn read_capture(path: &Path, index: usize) -> Result<Image, Unusable> {
    let bytes = read_file(path, "--capture", CAPTURE_BYTES_MAX)?;
    let Some((media_type, ending)) = kind(&bytes) else {
        return Err(Unusable(format!(
            "--capture {}: it is none of PNG, JPEG, GIF and WebP",
            path.display()
        )));
    };
    check_size(&bytes).map_err(|what| Unusable(format!("--capture {}: {what}", path.display())))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let plain: String = stem
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(40)
        .collect();
    Ok(Image {
        name: format!("{:02}-{plain}.{ending}", index + 1),
        caption: stem.into_owned(),
        media_type,
        bytes,
    })
}

/// Whether the header says a size that a picture can have: a reader would see nothing of one that is damaged.
fn check_size(bytes: &[u8]) -> Result<(), String> {
    let damaged = || "it is damaged: its header gives no size".to_owned();
    // Its first chunk is the header, of thirteen bytes (RFC 2083, 4.1.1).
    let is_headless = bytes.starts_with(b"\x89PNG") && bytes.get(8..16) != Some(b"\0\0\0\rIHDR");
    if is_headless {
        return Err(damaged());
    }
    let size = imagesize::blob_size(bytes).map_err(|_| damaged())?;
    let side = 1..=CAPTURE_SIDE_MAX;
    match side.contains(&size.width) && side.contains(&size.height) {
        true => Ok(()),
        false => Err(format!(
            "it is damaged: its header says {} × {} pixels",
            size.width, size.height
        )),
    }
}

/// The media type and usual ending, by the first bytes.
fn kind(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(("image/png", "png")),
        [0xff, 0xd8, 0xff, ..] => Some(("image/jpeg", "jpg")),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(("image/gif", "gif")),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some(("image/webp", "webp")),
        _ => None,
    }
}

fn read_file(path: &Path, flag: &str, bytes_max: u64) -> Result<Vec<u8>, Unusable> {
    let wrong = |message: String| Unusable(format!("{flag} {}: {message}", path.display()));
    // A named pipe would be waited for.
    let metadata = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !metadata.is_file() {
        return Err(wrong("it is not a file".into()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > bytes_max {
        let most = size::format(bytes_max);
        return Err(wrong(format!("it is larger than {most}")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = include_bytes!("../../tests/pixel.png");

    fn args(change: impl FnOnce(&mut SubmissionArgs)) -> SubmissionArgs {
        let mut args = SubmissionArgs::default();
        change(&mut args);
        args
    }

    #[test]
    fn files_that_cannot_be_used_are_named_with_their_flag() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let check = |args: SubmissionArgs, part: &str| {
            let error = Submission::read(&args).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        let notes = |path: PathBuf| args(|args| args.notes = Some(path));
        let capture = |path: PathBuf| args(|args| args.capture = vec![path]);
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
            args(|args| args.student_id = vec!["1".into()]),
            "0 authors and 1 student id: give --student-id once for each --author",
        );
        check(
            args(|args| {
                args.author = vec!["Ani".into(), "Budi".into()];
                args.student_id = vec!["1".into()];
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
        let submission = Submission::read(&args(|args| {
            args.author = vec!["Ani".into(), "Budi".into()];
            args.student_id = vec!["5025".into(), "5026".into()];
            args.repository = Some("javascript:x".into());
            args.capture = vec![path];
        }))
        .unwrap();
        let byline = submission.byline(Lang::Id);
        assert_eq!(
            byline[0],
            Fact::plain("Penyusun", "Ani (5025), Budi (5026)")
        );
        assert_eq!(byline[1], Fact::plain("Repositori", "javascript:x"));
        let [image] = submission.captures() else {
            panic!("one picture");
        };
        assert_eq!(image.name, "01-layar--1-.png");
        assert_eq!(image.caption, "Layar <1>");
        assert_eq!(image.media_type, "image/png");
        assert_eq!(submission.sections(Lang::En).len(), 1);
    }
}
