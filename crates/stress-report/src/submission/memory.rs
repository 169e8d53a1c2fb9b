//! `submission.toml`: what a folder's report has besides the figures, for the next report there. Its keys are the flags;
//! notes and screenshots are copied beside it, so that it needs nothing else of the machine.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use stress_data::Unusable;
use stress_data::derived;
use toml::Spanned;

use super::files::{read_file, read_notes, read_picture};
use super::{Submission, word};
use crate::document::Image;
use crate::lang::Lang;
use crate::markdown::CAPTURES;

/// Its name.
pub const FILE_NAME: &str = "submission.toml";
/// The copy of the notes.
const NOTES: &str = "submission-notes.md";
/// A hundred times what anybody has to say there.
const BYTES_MAX: u64 = 1 << 20;

const HEAD: &str = "\
# What this folder's report has besides the figures. `stress report` uses it again, until a flag with the name of a key
# changes that key. --forget=KEY forgets one, --forget all of them.
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Keys {
    #[serde(default)]
    lang: Lang,
    #[serde(default)]
    author: Vec<Word>,
    student_id: Option<Spanned<Vec<Word>>>,
    class: Option<Word>,
    repository: Option<Word>,
    notes: Option<Spanned<String>>,
    #[serde(default)]
    capture: Vec<Capture>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Capture {
    file: Spanned<String>,
    caption: String,
}

/// What the flags take, too.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Word(String);

impl TryFrom<String> for Word {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        word(&text).map(Self)
    }
}

impl Submission {
    /// What `folder` remembers; none if it remembers nothing.
    ///
    /// # Errors
    /// [`Unusable`] names the file and the line, and says what to do.
    pub fn remembered(folder: &Path) -> Result<Option<Self>, Unusable> {
        let path = folder.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let bytes =
            read_file(&path, "", BYTES_MAX).map_err(|Unusable(wrong)| cure(wrong.trim()))?;
        let text = String::from_utf8_lossy(&bytes);
        let file = File {
            folder,
            path,
            text: &text,
        };
        file.read().map(Some)
    }

    /// Lets `folder` remember it, notes and screenshots included.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn remember(&self, folder: &Path) -> Result<()> {
        let save = |folder: &Path, name: &str, content: &[u8]| {
            derived::replace(folder, name, |out| out.write_all(content))
        };
        if let Some(notes) = &self.notes {
            save(folder, NOTES, notes.as_bytes())?;
        }
        if !self.captures.is_empty() {
            let captures = folder.join(CAPTURES);
            fs::create_dir_all(&captures).with_context(|| captures.display().to_string())?;
            for image in &self.captures {
                save(&captures, &image.name, &image.bytes)?;
            }
        }
        Ok(save(folder, FILE_NAME, self.to_toml().as_bytes())?)
    }

    fn to_toml(&self) -> String {
        let mut lines = vec![format!("lang = {}", quoted(self.lang.as_str()))];
        let list = |words: &[String]| {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            words.join(", ")
        };
        if !self.authors.is_empty() {
            lines.push(format!("author = [{}]", list(&self.authors)));
        }
        if !self.student_ids.is_empty() {
            lines.push(format!("student-id = [{}]", list(&self.student_ids)));
        }
        let mut word = |key: &str, word: Option<&str>| {
            lines.extend(word.map(|word| format!("{key} = {}", quoted(word))));
        };
        word("class", self.class.as_deref());
        word("repository", self.repository.as_deref());
        word("notes", self.notes.as_ref().map(|_| NOTES));
        for Image { name, caption, .. } in &self.captures {
            let file = quoted(&format!("{CAPTURES}/{name}"));
            lines.push(format!(
                "\n[[capture]]\nfile = {file}\ncaption = {}",
                quoted(caption)
            ));
        }
        format!("{HEAD}{}\n", lines.join("\n"))
    }
}

/// A file that is being read.
struct File<'a> {
    folder: &'a Path,
    path: PathBuf,
    text: &'a str,
}

impl File<'_> {
    fn read(&self) -> Result<Submission, Unusable> {
        let keys: Keys = toml::from_str(self.text)
            .map_err(|error| self.wrong(error.span(), &error.message().replace('\n', ", ")))?;
        let words = |words: Vec<Word>| words.into_iter().map(|Word(word)| word).collect();
        let place = keys.student_id.as_ref().map(Spanned::span);
        let submission = Submission {
            lang: keys.lang,
            authors: words(keys.author),
            student_ids: words(keys.student_id.map(Spanned::into_inner).unwrap_or_default()),
            class: keys.class.map(|Word(class)| class),
            repository: keys.repository.map(|Word(url)| url),
            notes: match &keys.notes {
                Some(name) => Some(self.notes(name)?),
                None => None,
            },
            captures: keys
                .capture
                .into_iter()
                .map(|capture| self.picture(capture))
                .collect::<Result<_, _>>()?,
        };
        let wrong = |wrong: String| self.wrong(place, &format!("{wrong}: one for each author"));
        submission.check_ids().map_err(wrong)?;
        Ok(submission)
    }

    fn notes(&self, name: &Spanned<String>) -> Result<String, Unusable> {
        if !is_plain(name.get_ref()) {
            let what = "notes: it must be a file of this folder; give others with --notes FILE";
            return Err(self.wrong(Some(name.span()), what));
        }
        let read = read_notes(&self.folder.join(name.get_ref()), "notes");
        read.map_err(|Unusable(what)| self.wrong(Some(name.span()), &what))
    }

    fn picture(&self, Capture { file, caption }: Capture) -> Result<Image, Unusable> {
        let wrong = |what: &str| self.wrong(Some(file.span()), what);
        let in_captures = |file: &String| {
            let name = file.strip_prefix(CAPTURES)?.strip_prefix('/')?;
            is_plain(name).then(|| name.to_owned())
        };
        let name = in_captures(file.get_ref()).ok_or_else(|| {
            wrong("capture: it must be a file of captures/; give others with --capture FILE")
        })?;
        let read = read_picture(&self.folder.join(file.get_ref()), "capture");
        let (media_type, _, bytes) = read.map_err(|Unusable(what)| wrong(&what))?;
        Ok(Image {
            name,
            caption,
            media_type,
            bytes,
        })
    }

    /// What is wrong at `place` of the text.
    fn wrong(&self, place: Option<Range<usize>>, what: &str) -> Unusable {
        let before = self.text.get(..place.map_or(0, |place| place.start));
        let line = 1 + before.unwrap_or_default().matches('\n').count();
        cure(&format!("{}, line {line}: {what}", self.path.display()))
    }
}

fn cure(wrong: &str) -> Unusable {
    Unusable(format!("{wrong}. Mend it, or begin anew with --forget"))
}

/// Whether this is the name of a file, without folders and without anything that a link would have to escape.
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !name.starts_with('.') && !name.is_empty() && name.chars().all(is_plain)
}

/// As TOML writes a text: as JSON does, but for one character.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text)
        .to_string()
        .replace('\u{7f}', "\\u007F")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PNG: &[u8] = include_bytes!("../../../stress/tests/pixel.png");

    fn read(text: &str) -> Result<Option<Submission>, Unusable> {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(CAPTURES)).unwrap();
        fs::write(folder.path().join(CAPTURES).join("01-x.png"), PNG).unwrap();
        fs::write(folder.path().join(CAPTURES).join("02-x.png"), "no picture").unwrap();
        fs::write(folder.path().join(NOTES), "*Satu*\n").unwrap();
        fs::write(folder.path().join(FILE_NAME), text).unwrap();
        Submission::remembered(folder.path())
    }

    #[test]
    fn what_is_wrong_with_it_is_said_with_file_line_and_cure() {
        let check = |text: &str, line: u32, part: &str| {
            let said = read(text).unwrap_err().to_string();
            let place = format!("{FILE_NAME}, line {line}: ");
            assert!(
                said.contains(&place) && said.contains(part),
                "{text}: {said}"
            );
            assert!(
                said.ends_with("Mend it, or begin anew with --forget"),
                "{said}"
            );
            assert!(!said.contains('\n'), "{said}");
        };
        check("lang = ", 1, "");
        check("\nlang = \"fr\"", 2, "expected `en` or `id`");
        check(
            "lang = \"id\"\nauthors = [\"Ani\"]",
            2,
            "unknown field `authors`",
        );
        check("author = \"Ani\"", 1, "expected a sequence");
        check("# x\n\nauthor = [\"Ani\", \" \"]", 3, "it is empty");
        check("class = \"a\\nb\"", 1, "one line of text");
        check(
            "author = [\"Ani\"]\nstudent-id = [\"1\", \"2\"]",
            2,
            "1 author and 2 student ids",
        );
        check("class = \"C\"\nnotes = \"/etc/passwd\"", 2, "--notes FILE");
        check("notes = \"../notes.md\"", 1, "--notes FILE");
        check("\nnotes = \"gone.md\"", 2, "gone.md: No such file");
        let capture = |file: &str| format!("\n[[capture]]\ncaption = \"x\"\nfile = \"{file}\"");
        check(&capture("captures/../x.png"), 4, "--capture FILE");
        check(&capture("/tmp/x.png"), 4, "--capture FILE");
        check(&capture("captures/03-x.png"), 4, "03-x.png: No such file");
        check(&capture("captures/02-x.png"), 4, "none of PNG");
        check(
            "[[capture]]\nfile = \"captures/01-x.png\"",
            1,
            "missing field `caption`",
        );
    }

    #[test]
    fn every_key_is_optional() {
        assert_eq!(read("").unwrap(), Some(Submission::default()));
        let all = read(&format!("notes = \"{NOTES}\"\nlang = \"id\""))
            .unwrap()
            .unwrap();
        assert_eq!(all.notes.as_deref(), Some("*Satu*\n"));
        assert_eq!(all.lang, Lang::Id);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Submission::remembered(folder.path()).unwrap(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_remembered_is_what_was_given(
            authors in proptest::collection::vec("[^\\p{C}\\s][^\\p{C}]{0,12}[^\\p{C}\\s]", 0..3),
            has_ids: bool,
            class in proptest::option::of("[a-zA-Z0-9\"'\\\\#=é-]{1,12}"),
            caption in ".{0,12}",
            is_indonesian: bool,
        ) {
            let submission = Submission {
                lang: if is_indonesian { Lang::Id } else { Lang::En },
                student_ids: if has_ids { authors.clone() } else { Vec::new() },
                authors,
                repository: class.clone(),
                notes: class.clone(),
                class,
                captures: vec![Image {
                    name: "01-x.png".into(),
                    caption,
                    media_type: "image/png",
                    bytes: PNG.into(),
                }],
            };
            let folder = tempfile::tempdir().unwrap();
            submission.remember(folder.path()).unwrap();
            prop_assert_eq!(Submission::remembered(folder.path()).unwrap(), Some(submission));
        }
    }
}
