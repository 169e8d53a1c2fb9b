//! A run as all that shows or judges it takes it: what its journal says, and its rows, computed once.

use std::path::Path;

use crate::journal::{self, Contents};
use crate::measurement::Subject;
use crate::summary::{self, Row};

/// A run and its rows.
#[derive(Debug, Clone)]
pub struct Run {
    /// The name of its folder.
    pub name: String,
    /// All that its journal says.
    pub contents: Contents,
    /// Its rows, by number.
    pub rows: Vec<Row>,
}

impl Run {
    /// The run that `contents` are of.
    #[must_use]
    pub fn new(name: String, contents: Contents) -> Self {
        let rows = summary::rows(&contents);
        Self {
            name,
            contents,
            rows,
        }
    }

    /// The run in `folder`.
    ///
    /// # Errors
    /// Its journal cannot be read.
    pub fn read(folder: &Path) -> Result<Self, journal::Error> {
        Ok(Self::new(Self::name_of(folder), Contents::read(folder)?))
    }

    /// The servers that it measured beside each other, the reference first; none if there is one only.
    #[must_use]
    pub fn subjects(&self) -> &[Subject] {
        &self.contents.header.fingerprint.settings.subjects
    }

    /// The rows of the subject `name`, which follow each other; none if there is no such subject.
    #[must_use]
    pub fn rows_of(&self, name: &str) -> Option<&[Row]> {
        let mut subjects = self
            .rows
            .chunk_by(|one, next| one.cell.subject == next.cell.subject);
        subjects.find(|rows| rows[0].cell.subject.as_deref() == Some(name))
    }

    /// What the run in `folder` is called: the last name of its folder.
    #[must_use]
    pub fn name_of(folder: &Path) -> String {
        let last = folder.file_name().unwrap_or(folder.as_os_str());
        last.to_string_lossy().into_owned()
    }
}
