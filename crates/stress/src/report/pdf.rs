//! `report.pdf`, set by Typst: tables that go on over pages with their heads, charts as vectors, fonts inside.
//!
//! The layout is a template (`pdf/report.typ`); the document comes to it as data, so that nothing in a run or in
//! somebody's notes is ever read as markup. Nothing is read from the machine but what is handed over here.
//!
//! Typst rather than something lighter: `printpdf` and `krilla` draw what is placed for them, and `genpdf` knows
//! neither heads that repeat nor vector pictures; line breaking, tables and tagging would be ours to write.

use std::collections::HashMap;

use anyhow::{Result, anyhow};
use typst::diag::{FileError, FileResult, SourceDiagnostic};
use typst::foundations::{Bytes, Datetime, Duration};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};
use typst_layout::PagedDocument;
use typst_pdf::PdfOptions;

use super::document::{Block, Document};

const TEMPLATE: &str = include_str!("pdf/report.typ");
/// Laying out recurses deeply; in a debug build more than a test's thread has.
const STACK_BYTES: usize = 256 << 20;

/// The file. The same document gives the same bytes.
///
/// # Errors
/// What the typesetter said, of a picture that is damaged for example.
pub fn render(document: &Document) -> Result<Vec<u8>> {
    let files = Files::new(document)?;
    let set = || set(&files);
    std::thread::scope(|scope| {
        let typesetter = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = typesetter.spawn_scoped(scope, set)?;
        thread
            .join()
            .unwrap_or_else(|_| Err(anyhow!("the typesetter panicked")))
    })
}

fn set(files: &Files) -> Result<Vec<u8>> {
    let document = typst::compile::<PagedDocument>(files)
        .output
        .map_err(|found| said(&found))?;
    typst_pdf::pdf(&document, &PdfOptions::default()).map_err(|found| said(&found))
}

fn said(diagnostics: &[SourceDiagnostic]) -> anyhow::Error {
    let messages: Vec<&str> = diagnostics
        .iter()
        .map(|found| found.message.as_str())
        .collect();
    anyhow!("the typesetter says: {}", messages.join("; "))
}

/// All that the typesetter can see.
struct Files {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    template: Source,
    others: HashMap<FileId, Bytes>,
}

impl Files {
    fn new(document: &Document) -> Result<Self> {
        let fonts: Vec<Font> = typst_assets::fonts()
            .flat_map(|data| Font::iter(Bytes::new(data)))
            .collect();
        let mut others = HashMap::new();
        others.insert(
            id("document.json")?,
            Bytes::new(serde_json::to_vec(document)?),
        );
        for image in document.sections.iter().flat_map(|section| &section.blocks) {
            if let Block::Image(image) = image {
                others.insert(id(&image.name)?, Bytes::new(image.bytes.clone()));
            }
        }
        Ok(Self {
            library: LazyHash::new(Library::default()),
            book: LazyHash::new(FontBook::from_fonts(&fonts)),
            fonts,
            template: Source::new(id("report.typ")?, TEMPLATE.into()),
            others,
        })
    }
}

impl World for Files {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    fn main(&self) -> FileId {
        self.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        match id == self.template.id() {
            true => Ok(self.template.clone()),
            false => Err(FileError::NotSource),
        }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        let found = self.others.get(&id).cloned();
        found.ok_or_else(|| FileError::NotFound(id.get().vpath().get_without_slash().into()))
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.get(index).cloned()
    }

    /// The template does not ask: a report of the same run is the same on every day.
    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}

fn id(name: &str) -> Result<FileId> {
    let path = VirtualPath::new(format!("/{name}")).map_err(|error| anyhow!("{name}: {error}"))?;
    Ok(RootedPath::new(VirtualRoot::Project, path).intern())
}
