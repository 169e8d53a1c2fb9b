//! `prefork-client upload`.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use client::FileName;

use crate::cli;
use crate::interrupt::Source;
use crate::outcome::{Done, Failure, Fate, Kind, Operation};
use crate::text::plain;

use super::Run;

/// One file and the name it will have.
#[derive(Debug)]
pub(super) struct Planned {
    path: PathBuf,
    name: FileName,
}

impl Borrow<FileName> for Planned {
    fn borrow(&self) -> &FileName {
        &self.name
    }
}

/// Finds every name before anything is sent.
///
/// # Errors
/// What is wrong, for the usage error.
pub(super) fn plan(args: &cli::Upload) -> Result<Vec<Planned>, String> {
    if let Some(name) = &args.name {
        return match &args.paths[..] {
            [path] => Ok(vec![Planned {
                path: path.clone(),
                name: name.clone(),
            }]),
            paths => Err(format!(
                "--as names one file, but there are {} paths",
                paths.len()
            )),
        };
    }
    let mut taken: HashMap<FileName, &Path> = HashMap::new();
    let mut planned = Vec::with_capacity(args.paths.len());
    for path in &args.paths {
        let name = own_name(path)?;
        if let Some(other) = taken.insert(name.clone(), path) {
            return Err(format!(
                "'{}' and '{}' would both be stored as '{name}': upload one of them with --as NAME",
                other.display(),
                path.display()
            ));
        }
        planned.push(Planned {
            path: path.clone(),
            name,
        });
    }
    Ok(planned)
}

fn own_name(path: &Path) -> Result<FileName, String> {
    if is_stdin(path) {
        return Err("standard input has no name: give one with --as NAME".to_owned());
    }
    let Some(name) = path.file_name() else {
        return Err(format!(
            "'{}' has no file name: give one with --as NAME",
            path.display()
        ));
    };
    FileName::parse(name.as_encoded_bytes()).map_err(|error| {
        format!(
            "'{}' cannot be stored under its own name: {error}; give another with --as NAME",
            path.display()
        )
    })
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Uploads one file.
pub(super) fn one(run: &mut Run<'_>, planned: &Planned) -> Result<Done, Failure> {
    let Planned { path, name } = planned;
    let cannot_read = format!("cannot read {}", path.display());
    let local = |error: io::Error| Failure::local(format!("{cannot_read}: {}", plain(&error)));
    let file = open(path).map_err(local)?;
    if file.metadata().map_err(local)?.is_dir() {
        return Err(local(io::Error::other(
            "it is a folder; pack it first, for instance with tar",
        )));
    }
    let mut source = Source::new(file, run.signals).map_err(local)?;
    let mut meter = run.display.meter(name.as_str(), source.len());
    let result = run
        .link
        .once(|connection| connection.upload(name, &mut source, &mut meter));
    match result {
        Ok(upload) => Ok(Done::Moved {
            size: upload.size,
            crc32: upload.crc32,
            verified: upload.verified,
        }),
        Err(error) => {
            let server = run.link.server();
            let failure = Failure::of(error, Operation::Upload, server, &cannot_read);
            let fate = run.link.fate_of_upload();
            let mut failure = failure.of_upload(fate);
            if failure.kind == Kind::Local && meter.has_moved() && fate == Fate::PartAtMost {
                failure.message += "; it was cut before its last byte was sent, so a prefork-server has not stored it; \
                                    another server may have stored what came";
            }
            Err(failure)
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    match is_stdin(path) {
        // Not `io::stdin()` itself: its buffer would hide from a wait what has come already.
        true => io::stdin().as_fd().try_clone_to_owned().map(File::from),
        false => Source::open(path),
    }
}
