//! The trial of a foreign server, before the first row: whether it starts, how it wants requests to end, and whether
//! it serves the folder that its rows' files are put into. What fails here would fail in every row, minutes each.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use client::{Connection, FileName, Options, Terminator};
use stress_data::matrix::{Cell, Operation};
use stress_data::measurement::{ServerChoice, ServerCommand, Settings};

use super::measure::Error;
use crate::corpus::served::ServedFolder;
use crate::corpus::workdir::WorkDir;
use crate::corpus::{download_name, files};
use crate::host::clock::Deadline;
use crate::rig::foreign::{Foreign, Trouble};
use crate::rig::probe::{self, Dialect};
use crate::rig::target::Target;
use crate::rig::{self, Rig};

/// How long its answers may take in all: four LISTs of three seconds, and what follows them.
const LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to send the file.
const FILE_LIMIT: Duration = Duration::from_secs(5);
/// The size of the file that it must serve.
const FILE_LEN: u64 = 1_000;

/// What a trial found: the dialect, or why the server cannot be measured.
pub(crate) type Finding = Result<Terminator, String>;

/// Tries the server that `settings` choose, as for `cell`. With `is_probed` it is asked how requests end; else they end
/// as the settings say. None if the server is ours.
///
/// # Errors
/// See [`Error`]: nothing that the server did.
pub(crate) fn hold(
    cell: &Cell,
    settings: &Settings,
    is_probed: bool,
    work: &WorkDir,
    interrupt: &AtomicBool,
) -> Result<Option<Finding>, Error> {
    let candidates = match is_probed {
        true => probe::ORDER.to_vec(),
        false => vec![settings.terminator.parse().map_err(Error::Harness)?],
    };
    match &settings.server {
        ServerChoice::Own => Ok(None),
        ServerChoice::Target { address, admin } => {
            of_target(address, admin.as_deref(), &candidates, interrupt).map(Some)
        }
        ServerChoice::Command(command) => {
            of_command(command, cell, settings.seed, &candidates, work, interrupt).map(Some)
        }
    }
}

fn of_target(
    address: &str,
    admin: Option<&Path>,
    candidates: &[Terminator],
    interrupt: &AtomicBool,
) -> Result<Finding, Error> {
    let deadline = Deadline::after(LIMIT).or_once(interrupt);
    let found = Target::find(address, admin).and_then(|target| {
        probe::dialect(target.address(), candidates, probe::ANSWER_LIMIT, &deadline)
    });
    match found {
        Ok(dialect) => Ok(Ok(dialect.terminator)),
        Err(rig::Error::Interrupted) => Err(Error::Interrupted),
        Err(rig::Error::NotReady(why)) if why.starts_with("--target") => Ok(Err(why)),
        Err(rig::Error::NotReady(why)) => Ok(Err(format!("--target {address}: {why}"))),
    }
}

fn of_command(
    command: &ServerCommand,
    cell: &Cell,
    seed: u64,
    candidates: &[Terminator],
    work: &WorkDir,
    interrupt: &AtomicBool,
) -> Result<Finding, Error> {
    let harness = |error: std::io::Error| Error::Harness(error.to_string());
    // Declared before the server: gone after it.
    let directory = work.row().map_err(harness)?;
    let folder = command.root.as_deref();
    let served = folder.map(ServedFolder::take).transpose();
    let served = served.map_err(harness)?;
    let root = match &served {
        Some(served) => served.path().to_owned(),
        None => directory.root(),
    };
    let file = Cell {
        operation: Operation::Download,
        volume: FILE_LEN,
        clients: 1,
        ..cell.clone()
    };
    files::lay_out(&file, seed, work.sources(), &root).map_err(harness)?;
    let whose = cell.subject.as_ref();
    let whose = whose.map_or("--server-cmd".into(), |name| format!("--subject {name}"));
    let said = |trouble: Trouble| match trouble.text() {
        Some(text) => Ok(Err(format!("{whose}: {text}"))),
        None => Err(Error::Interrupted),
    };
    let log = directory.server_log();
    let mut foreign = match Foreign::start(command, cell.servers, &root, &log, interrupt) {
        Ok(foreign) => foreign,
        Err(trouble) => return said(trouble),
    };
    let deadline = Deadline::after(LIMIT).or_once(interrupt);
    let address = foreign.address();
    let result = probe::dialect(address, candidates, probe::ANSWER_LIMIT, &deadline);
    let result = result.and_then(|dialect| {
        let lacks = lacks_file(address, &dialect, folder);
        lacks.map_or(Ok(dialect.terminator), |why| Err(rig::Error::NotReady(why)))
    });
    match result {
        Ok(terminator) => Ok(Ok(terminator)),
        Err(error) => said(foreign.trouble(error)),
    }
}

/// Why the file that lies in the folder does not come from the server: it serves another one. One that is listed, but
/// cannot be had, is for the rows to tell.
fn lacks_file(address: SocketAddr, dialect: &Dialect, folder: Option<&Path>) -> Option<String> {
    let name = download_name(0);
    let names = dialect.names.as_deref().unwrap_or_default();
    if names.iter().any(|listed| listed == name.as_str()) {
        return None;
    }
    let answer = fetch(address, dialect.terminator, &name).err()?;
    let flag = folder.map_or_else(
        || "{root}".to_owned(),
        |folder| format!("--server-root {}", folder.display()),
    );
    const SHOWN_MAX: usize = 5;
    let shown = match names {
        [] => "it lists nothing".to_owned(),
        names => {
            let shown = names.iter().take(SHOWN_MAX);
            let shown: Vec<String> = shown.map(|name| name.escape_debug().to_string()).collect();
            let more = if names.len() > SHOWN_MAX { ", …" } else { "" };
            format!("it lists {}{more}", shown.join(", "))
        }
    };
    Some(format!(
        "{flag}: the server serves another folder: {name} was put there, {shown}, and GET says: {answer}"
    ))
}

fn fetch(
    address: SocketAddr,
    terminator: Terminator,
    name: &FileName,
) -> Result<(), client::Error> {
    let options = Options {
        connect_timeout: FILE_LIMIT,
        operation_timeout: Some(FILE_LIMIT),
        idle_timeout: FILE_LIMIT,
        terminator,
        ..Options::default()
    };
    let mut connection = Connection::connect(address, &options)?;
    connection
        .get(name, &mut std::io::sink(), &mut ())
        .map(drop)
}
