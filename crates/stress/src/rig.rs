//! Rigs: what starts and stops the server of a cell.

pub mod foreign;
pub mod own;

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use proto::announce::{Done, Ready};

use crate::matrix::Cell;
use crate::measurement::{Settings, ServerChoice};

/// A running server.
pub trait Rig {
    /// Where it listens.
    fn address(&self) -> SocketAddr;

    /// What it said of itself; none for a foreign server.
    fn ready(&self) -> Option<&Ready>;

    /// Stops it gracefully and takes its ledger, where it keeps one.
    ///
    /// # Errors
    /// Says what became of it instead.
    fn stop(&mut self) -> Result<Option<Done>, String>;

    /// Ends it at once, so that its clients end too.
    fn abort(&mut self);
}

/// Starts the server that `settings` choose on a fresh root.
///
/// # Errors
/// Says what went wrong, with the server's own last words.
pub fn start(cell: &Cell, settings: &Settings, place: &Place) -> Result<Box<dyn Rig>, String> {
    match &settings.server {
        ServerChoice::Own => own::start(cell, settings, place).map(|rig| Box::new(rig) as Box<dyn Rig>),
        ServerChoice::Command { command } => {
            foreign::start(cell, command, place).map(|rig| Box::new(rig) as Box<dyn Rig>)
        }
    }
}

/// Where a cell's server lives.
#[derive(Debug)]
pub struct Place {
    /// What it serves.
    pub root: PathBuf,
    /// Where its standard error goes.
    log: PathBuf,
}

impl Place {
    /// A fresh place inside `folder`.
    ///
    /// # Errors
    /// What making the root says.
    pub fn new(folder: &Path) -> io::Result<Self> {
        let root = folder.join("root");
        fs::create_dir(&root)?;
        Ok(Self { root, log: folder.join("server.log") })
    }

    /// A new file for the server's standard error.
    fn open_log(&self) -> Result<File, String> {
        File::create(&self.log).map_err(|error| format!("cannot make the server's log: {error}"))
    }

    /// What the server said last, for an error message: a colon and the words, or nothing.
    fn last_words(&self) -> String {
        match self.read_end_of_log() {
            Ok(words) if !words.trim().is_empty() => format!(": {}", words.trim().escape_debug()),
            _ => String::new(),
        }
    }

    fn read_end_of_log(&self) -> io::Result<String> {
        const END_LEN: u64 = 600;
        let mut log = File::open(&self.log)?;
        let len = log.metadata()?.len();
        log.seek(SeekFrom::Start(len.saturating_sub(END_LEN)))?;
        let mut end = Vec::new();
        log.read_to_end(&mut end)?;
        Ok(String::from_utf8_lossy(&end).into_owned())
    }
}

/// Waits for a child's end, kills it if that takes too long, and says how it ended.
fn wait_within(child: &mut Child, timeout: Duration) -> String {
    let deadline = Instant::now() + timeout;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.to_string(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return "killed, because it did not end".to_owned();
            }
            Err(error) => return error.to_string(),
        }
    }
}
