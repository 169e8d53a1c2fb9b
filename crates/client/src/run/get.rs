//! `prefork-client get`.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};

use client::{Destination, Download, FileName, Overwrite};

use crate::cli;
use crate::interrupt::{Sink, Special};
use crate::outcome::{Done, Failure, Operation};
use crate::progress::Display;
use crate::text::plain;

use super::Run;

/// Where downloads go.
#[derive(Debug)]
pub(super) enum Output {
    Folder(PathBuf),
    File(PathBuf),
    /// A device, a pipe or a socket: written as it is, for it cannot be replaced by a file.
    Special(PathBuf),
    Stdout,
}

impl Output {
    /// Makes sense of `--output`.
    ///
    /// # Errors
    /// What is wrong, for the usage error.
    pub(super) fn choose(args: &cli::Get, is_json: bool) -> Result<Self, String> {
        let Some(path) = &args.output else {
            return Ok(Self::Folder(PathBuf::from(".")));
        };
        let is_one = args.names.len() == 1;
        let shown = path.display();
        if path == Path::new("-") {
            return match (is_one, is_json) {
                (false, _) => Err("several files need a folder: -o - takes one NAME".to_owned()),
                (true, true) => Err("--json and -o - both need standard output".to_owned()),
                (true, false) => Ok(Self::Stdout),
            };
        }
        match path.metadata() {
            Ok(found) if found.is_dir() => Ok(Self::Folder(path.clone())),
            _ if path.as_os_str().as_encoded_bytes().ends_with(b"/") => Err(format!(
                "there is no folder '{shown}': make it first, with mkdir -p"
            )),
            _ if !is_one => Err(format!(
                "several files need a folder, and '{shown}' is none"
            )),
            Ok(found) if !found.is_file() => Ok(Self::Special(path.clone())),
            _ => Ok(Self::File(path.clone())),
        }
    }
}

/// Downloads one file.
pub(super) fn one(
    run: &mut Run<'_>,
    name: &FileName,
    output: &Output,
    args: &cli::Get,
) -> Result<Done, Failure> {
    let download = match output {
        Output::Folder(folder) => into_file(run, name, &folder.join(name.as_str()), args)?,
        Output::File(path) => into_file(run, name, path, args)?,
        Output::Special(path) => {
            let cannot_write = cannot_write(path);
            let special = Special::open(path, run.signals);
            let special = special.map_err(|error| local(&cannot_write, &error))?;
            transfer(run, name, special, &cannot_write)?.1
        }
        Output::Stdout => {
            let display = run.display;
            if io::stdout().is_terminal() {
                // A bar and the content would overwrite each other.
                run.display = Display::Hidden;
            }
            let result = transfer(run, name, io::stdout(), "cannot write to standard output");
            run.display = display;
            result?.1
        }
    };
    let Download {
        size,
        crc32,
        verified,
    } = download;
    Ok(Done::Moved {
        size,
        crc32,
        verified,
    })
}

fn into_file(
    run: &mut Run<'_>,
    name: &FileName,
    path: &Path,
    args: &cli::Get,
) -> Result<Download, Failure> {
    let overwrite = if args.force {
        Overwrite::Allowed
    } else {
        Overwrite::Never
    };
    let cannot_write = cannot_write(path);
    let failure = |error: io::Error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::local(format!(
            "{cannot_write}: it is already there — --force overwrites it"
        )),
        _ => local(&cannot_write, &error),
    };
    let destination = Destination::create(path, overwrite).map_err(failure)?;
    let (destination, download) = transfer(run, name, destination, &cannot_write)?;
    match args.fsync {
        true => destination.commit_durably(),
        false => destination.commit(),
    }
    .map_err(failure)?;
    Ok(download)
}

/// Returns `writer` with what was downloaded into it.
fn transfer<W: Write>(
    run: &mut Run<'_>,
    name: &FileName,
    writer: W,
    cannot_write: &str,
) -> Result<(W, Download), Failure> {
    let mut sink = Sink {
        inner: writer,
        signals: run.signals,
    };
    let mut meter = run.display.meter(name.as_str(), None);
    let result = run.link.repeatable(&mut meter, |connection, meter| {
        connection.get(name, &mut sink, meter)
    });
    match result {
        Ok(download) => Ok((sink.inner, download)),
        Err(error) => Err(Failure::of(
            error,
            Operation::Get,
            run.link.server(),
            cannot_write,
        )),
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

fn local(cannot_write: &str, error: &io::Error) -> Failure {
    Failure::local(format!("{cannot_write}: {}", plain(error)))
}
