//! The files that a row's server finds in its root.

use std::cell::{Cell as Mutable, RefCell};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stress_data::matrix::{Cell, LIST_FILE_BYTES, Operation};

use super::{Corpus, Salt, download_name, list_names};

/// One write or read of a file.
const PIECE_LEN: usize = 256 << 10;
/// Names given to one file of a list row. ext4 takes 65,000, others fewer.
const LINKS_MAX: usize = 10_000;
/// Our server keeps a file encoded once it has been left alone for two seconds (docs/LIMITS.md), by a clock with ticks.
const SETTLED: Duration = Duration::from_millis(2_020);
/// And from this length on.
const CACHED_LEN_MIN: u64 = 256 << 10;

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
        let mut file = File::create(path)?;
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
    /// By seed and volume, and whether it is in a folder that is kept.
    made: RefCell<HashMap<(u64, u64, bool), Source>>,
    /// The most clients of a row to come that downloads.
    clients_max: Mutable<u32>,
}

impl Sources {
    pub(crate) fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            made: RefCell::default(),
            clients_max: Mutable::default(),
        }
    }

    /// Says which rows are to come: one more name for a file changes its ctime.
    pub(crate) fn expect<'a>(&self, cells: impl Iterator<Item = &'a Cell>) {
        let downloads = cells.filter(|cell| cell.operation == Operation::Download);
        let most = downloads.map(|cell| cell.clients).max();
        self.clients_max.set(most.unwrap_or_default());
    }

    /// How long the file that `cell` downloads is still to be left alone, if our server could keep it in an encoded cache
    /// of `cache_bytes`: else the cache would come into the middle of the window.
    pub(crate) fn unsettled(&self, cell: &Cell, seed: u64, cache_bytes: u64) -> Duration {
        let made = self.made.borrow();
        let Some(source) = made.get(&(seed, cell.volume, true)) else {
            return Duration::ZERO;
        };
        let is_cached = cell.operation == Operation::Download
            && cell.volume >= CACHED_LEN_MIN
            && proto::base64::encoded_len(cell.volume) <= cache_bytes;
        let changed = fs::metadata(&source.path).ok().filter(|_| is_cached);
        let changed = changed.and_then(|it| {
            let whole = Duration::from_secs(u64::try_from(it.ctime()).ok()?);
            Some(whole + Duration::from_nanos(u64::try_from(it.ctime_nsec()).ok()?))
        });
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let left =
            changed.map(|changed| (changed + SETTLED).saturating_sub(now.unwrap_or_default()));
        left.unwrap_or_default().min(SETTLED)
    }

    /// One that a folder keeps is no other folder's: each name that comes or goes changes its ctime.
    fn get(&self, seed: u64, volume: u64, is_kept: bool) -> io::Result<Source> {
        let key = (seed, volume, is_kept);
        if let Some(source) = self.made.borrow().get(&key) {
            return Ok(source.clone());
        }
        let kept = if is_kept { "-kept" } else { "" };
        let path = self.folder.join(format!("source-{volume}{kept}"));
        let source = Source::make(&path, seed, volume)?;
        let mut made = self.made.borrow_mut();
        made.insert(key, source.clone());
        Ok(source)
    }
}

/// A folder with what `cell` needs, and the CRC-32 of what its clients download. It stays for the rows to come: for a server
/// that changes nothing in it.
pub(crate) fn kept(
    cell: &Cell,
    seed: u64,
    sources: &Sources,
) -> io::Result<(PathBuf, Option<u32>)> {
    // It is called as the folders of all rows are.
    let folder = format!("{}-{}", cell.operation.as_str(), cell.volume);
    let root = sources.folder.join(folder).join("root");
    let cell = Cell {
        clients: cell.clients.max(sources.clients_max.get()),
        ..cell.clone()
    };
    if !tidy(&root, &names(&cell)).unwrap_or(false) {
        match fs::remove_dir_all(&root) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(&root)?,
        }
        let crc32 = fill(&cell, seed, sources, &root, true)?;
        return Ok((root, crc32));
    }
    let crc32 = match cell.operation {
        Operation::Download => {
            let source = sources.get(seed, cell.volume, true)?;
            source.warm()?;
            Some(source.crc32)
        }
        Operation::Upload | Operation::List => None,
    };
    Ok((root, crc32))
}

/// The names that `cell` finds in its root.
fn names(cell: &Cell) -> Vec<String> {
    match cell.operation {
        Operation::Download => {
            let names = (0..cell.clients).map(|client| download_name(client).to_string());
            names.collect()
        }
        Operation::Upload => Vec::new(),
        Operation::List => list_names(list_len(cell.volume)),
    }
}

/// Whether all of these names are in the folder. What else is in it goes: a server that was killed, or late, leaves its lock.
fn tidy(folder: &Path, names: &[String]) -> io::Result<bool> {
    let wanted: HashSet<OsString> = names.iter().map(OsString::from).collect();
    let mut found_len = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        match wanted.contains(&entry.file_name()) {
            true => found_len += 1,
            false => fs::remove_file(entry.path())?,
        }
    }
    Ok(found_len == names.len())
}

/// Fills the empty `root` with what `cell` needs, and returns the CRC-32 of what its clients download.
pub(crate) fn lay_out(
    cell: &Cell,
    seed: u64,
    sources: &Sources,
    root: &Path,
) -> io::Result<Option<u32>> {
    fill(cell, seed, sources, root, false)
}

fn fill(
    cell: &Cell,
    seed: u64,
    sources: &Sources,
    root: &Path,
    is_kept: bool,
) -> io::Result<Option<u32>> {
    match cell.operation {
        Operation::Download => {
            let source = sources.get(seed, cell.volume, is_kept)?;
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
    fn a_folder_is_kept_for_the_next_row_unless_a_file_of_it_is_gone() {
        let parent = tempfile::tempdir().unwrap();
        let work = WorkDir::create(parent.path()).unwrap();
        let sources = work.sources();
        let few = testing::cell(Operation::Download, 300_000);
        let many = Cell {
            clients: 3,
            ..few.clone()
        };
        sources.expect([&few, &many].into_iter());
        let changed = |root: &Path| fs::metadata(root.join("d0000.bin")).unwrap().ctime_nsec();
        let (root, crc32) = kept(&few, 1, sources).unwrap();
        let made = changed(&root);
        assert_eq!(kept(&many, 1, sources).unwrap(), (root.clone(), crc32));
        assert_eq!((files(&root).len(), changed(&root)), (3, made));
        fs::write(root.join(".left"), "by a server that was killed").unwrap();
        assert_eq!(kept(&few, 1, sources).unwrap(), (root.clone(), crc32));
        assert_eq!((files(&root).len(), changed(&root)), (3, made));
        fs::remove_file(root.join("d0001.bin")).unwrap();
        assert_eq!(kept(&few, 1, sources).unwrap(), (root.clone(), crc32));
        assert_eq!(files(&root).len(), 3);
        assert_ne!(changed(&root), made);

        let list = testing::cell(Operation::List, 10 << 20);
        let (root, _) = kept(&list, 1, sources).unwrap();
        fs::remove_file(root.join("l0007.bin")).unwrap();
        kept(&list, 1, sources).unwrap();
        assert_eq!(files(&root).len(), 160);
    }

    #[test]
    fn only_a_file_that_would_be_cached_is_left_alone_first() {
        let parent = tempfile::tempdir().unwrap();
        let work = WorkDir::create(parent.path()).unwrap();
        let check = |operation, volume, cache_bytes, is_waited_for| {
            let cell = testing::cell(operation, volume);
            kept(&cell, 1, work.sources()).unwrap();
            let left = work.sources().unsettled(&cell, 1, cache_bytes);
            assert_eq!(
                left > Duration::ZERO,
                is_waited_for,
                "{operation:?} {volume}"
            );
            assert!(left <= SETTLED);
        };
        check(Operation::Download, 300_000, 400_000, true);
        check(Operation::Download, 300_000, 399_999, false);
        check(Operation::Download, 200_000, 400_000, false);
        check(Operation::List, 300_000, 400_000, false);
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
