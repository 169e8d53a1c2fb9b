//! The files that a row's server finds in its root.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use stress_data::matrix::{Cell, LIST_FILE_BYTES, Operation};

use super::{Corpus, Salt, download_name, list_names};

/// One write or read of a file.
const PIECE_LEN: usize = 256 << 10;
/// Names given to one file of a list row. ext4 takes 65,000, others fewer.
const LINKS_MAX: usize = 10_000;

/// A file that download rows serve under many names.
#[derive(Debug, Clone)]
struct Source {
    path: PathBuf,
    crc32: u32,
}

impl Source {
    /// Writes the file. It is on disk before the first row that serves it: no row pays for its writing back.
    fn make(path: &Path, seed: u64, volume: u64) -> io::Result<Self> {
        let mut content = Corpus::new(seed).content(Salt::DOWNLOAD, volume);
        let mut hasher = crc32fast::Hasher::new();
        let mut file = File::create_new(path)?;
        let mut piece = vec![0; PIECE_LEN];
        loop {
            let len = content.read(&mut piece)?;
            if len == 0 {
                break;
            }
            hasher.update(&piece[..len]);
            file.write_all(&piece[..len])?;
        }
        file.sync_data()?;
        Ok(Self {
            path: path.to_owned(),
            crc32: hasher.finalize(),
        })
    }

    /// Reads the file once, so that every row finds it in the page cache: the first as the last, and also
    /// after large uploads. 100 MiB take about 15 ms.
    fn warm(&self) -> io::Result<()> {
        let mut file = File::open(&self.path)?;
        let mut piece = vec![0; PIECE_LEN];
        while file.read(&mut piece)? > 0 {}
        Ok(())
    }
}

/// The files that download rows serve, each made in a folder when it is first asked for.
#[derive(Debug)]
pub(crate) struct Sources {
    folder: PathBuf,
    /// By seed and volume.
    made: RefCell<HashMap<(u64, u64), Source>>,
}

impl Sources {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            made: RefCell::default(),
        }
    }

    fn get(&self, seed: u64, volume: u64) -> io::Result<Source> {
        if let Some(source) = self.made.borrow().get(&(seed, volume)) {
            return Ok(source.clone());
        }
        let path = self.folder.join(format!("source-{volume}"));
        let source = Source::make(&path, seed, volume)?;
        let mut made = self.made.borrow_mut();
        made.insert((seed, volume), source.clone());
        Ok(source)
    }
}

/// Fills the empty `root` with what `cell` needs, and returns the CRC-32 of what its clients download.
pub(crate) fn lay_out(
    cell: &Cell,
    seed: u64,
    sources: &Sources,
    root: &Path,
) -> io::Result<Option<u32>> {
    match cell.operation {
        Operation::Download => {
            let source = sources.get(seed, cell.volume)?;
            for client in 0..cell.clients {
                let name = download_name(client);
                link(&source.path, &root.join(name.as_str()))?;
            }
            source.warm()?;
            Ok(Some(source.crc32))
        }
        Operation::Upload => Ok(None),
        Operation::List => {
            lay_out_list(cell.volume, seed, root)?;
            Ok(None)
        }
    }
}

/// Another name for `file`; a symbolic link where the name is on another file system, as a folder that a foreign
/// server always serves may be.
fn link(file: &Path, name: &Path) -> io::Result<()> {
    match fs::hard_link(file, name) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            std::os::unix::fs::symlink(file, name)
        }
        result => result,
    }
}

/// How many files make up a list row of `volume` bytes.
pub(crate) const fn list_len(volume: u64) -> u64 {
    volume.div_ceil(LIST_FILE_BYTES)
}

/// Files of 64 KiB, a last one shorter where they do not fit. All but the first and the last are further names
/// of a file that is there: a listing shows names, and reads no content.
fn lay_out_list(volume: u64, seed: u64, root: &Path) -> io::Result<()> {
    let names = list_names(list_len(volume));
    let last_len = volume % LIST_FILE_BYTES;
    let whole_len = names.len() - usize::from(last_len > 0);
    let (whole, rest) = names.split_at(whole_len);
    let corpus = Corpus::new(seed);
    let make = |name: &String, len: u64| -> io::Result<PathBuf> {
        let path = root.join(name);
        let mut content = corpus.content(Salt::DOWNLOAD, len);
        io::copy(&mut content, &mut File::create_new(&path)?)?;
        Ok(path)
    };
    for names in whole.chunks(LINKS_MAX) {
        let first = make(&names[0], LIST_FILE_BYTES)?;
        for name in &names[1..] {
            fs::hard_link(&first, root.join(name))?;
        }
    }
    for name in rest {
        make(name, last_len)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus::workdir::WorkDir;
    use crate::testing;

    fn files(root: &Path) -> Vec<(String, u64)> {
        let mut files: Vec<(String, u64)> = fs::read_dir(root)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let len = entry.metadata().unwrap().len();
                (entry.file_name().into_string().unwrap(), len)
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn every_client_finds_the_content_under_a_name_of_its_own() {
        let parent = tempfile::tempdir().unwrap();
        let work = WorkDir::create(parent.path()).unwrap();
        for _ in 0..2 {
            let directory = work.row().unwrap();
            let mut cell = testing::cell(Operation::Download, 100_000);
            cell.clients = 3;
            let crc32 = lay_out(&cell, 1, work.sources(), &directory.root()).unwrap();
            let names = ["d0000.bin", "d0001.bin", "d0002.bin"];
            assert_eq!(
                files(&directory.root()),
                names.map(|name| (name.to_owned(), 100_000))
            );
            let stored = fs::read(directory.root().join("d0002.bin")).unwrap();
            assert_eq!(crc32, Some(crc32fast::hash(&stored)));
            let mut content = Vec::new();
            let mut made = Corpus::new(1).content(Salt::DOWNLOAD, 100_000);
            made.read_to_end(&mut content).unwrap();
            assert!(stored == content);
        }
    }

    #[test]
    fn a_list_row_holds_its_volume_as_files_of_64_kib() {
        let parent = tempfile::tempdir().unwrap();
        let work = WorkDir::create(parent.path()).unwrap();
        let check = |volume: u64, len: usize| {
            let directory = work.row().unwrap();
            let cell = testing::cell(Operation::List, volume);
            let crc32 = lay_out(&cell, 1, work.sources(), &directory.root()).unwrap();
            assert_eq!(crc32, None);
            let files = files(&directory.root());
            assert_eq!(files.len(), len);
            assert_eq!(files.iter().map(|(_, len)| len).sum::<u64>(), volume);
            let names: Vec<String> = files.into_iter().map(|(name, _)| name).collect();
            assert_eq!(names, list_names(list_len(volume)));
        };
        check(10 << 20, 160);
        check((1 << 20) + 1, 17);
        check(1, 1);
    }
}
