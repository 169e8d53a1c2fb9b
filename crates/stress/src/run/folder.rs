//! The folder and the journal of a run: new ones, or those of a run to go on with.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use cli_kit::output::say;
use stress_data::Unusable;
use stress_data::fingerprint::Fingerprint;
use stress_data::journal::{self, Contents, Header, Journal, Line, SCHEMA};
use stress_data::measurement::ServerChoice;
use stress_data::paths::without_paths;

use super::request::{Request, Start};
use super::results;
use crate::corpus::workdir::MadeFolders;
use crate::host::environment;

/// A run's folder with its journal open, and all that is in it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) contents: Contents,
    journal: Journal,
    /// Whether `latest` is to point at the run as soon as something has been measured in it.
    is_to_point: bool,
}

impl Folder {
    /// The folder that `request` asks for, in one that is there.
    pub(super) fn open(request: &Request) -> Result<Self> {
        let fingerprint = fingerprint(request)?;
        match &request.start {
            Start::Fresh => Self::create(request, fingerprint),
            Start::Resume(run) => Self::resume(run, &fingerprint),
            Start::ResumeNewest => {
                let is_wanted = |contents: &Contents| request.has_work_in(contents);
                match results::newest_unfinished(&request.out, is_wanted)? {
                    Some(run) => Self::resume(&run, &fingerprint),
                    None => Err(nothing_to_resume(request).into()),
                }
            }
        }
    }

    /// Appends `line` to the journal, and to the contents; without paths, so that the run can be kept.
    pub(super) fn append(&mut self, line: Line) -> Result<()> {
        let line = without_paths(&line)?;
        self.journal
            .append(&line)
            .context("the journal cannot be written")?;
        if self.is_to_point && matches!(&line, Line::Sample(sample) if sample.has_measured()) {
            self.is_to_point = false;
            self.point_latest();
        }
        self.contents.add(line);
        Ok(())
    }

    /// The link is a convenience: a file system without links does not stop a run.
    fn point_latest(&self) {
        if let Err(error) = results::point_latest(&self.path) {
            say(format_args!(
                "warning: cannot point 'latest' at {}: {error}",
                self.path.display()
            ));
        }
    }

    fn create(request: &Request, fingerprint: Fingerprint) -> Result<Self> {
        let path = results::create_folder(&request.out, &request.label, SystemTime::now())?;
        let header = Header {
            schema: SCHEMA,
            created_utc: super::now(),
            label: request.label.clone(),
            fingerprint,
        };
        let journal = Journal::create(&path, &header)?;
        Ok(Self {
            path,
            contents: Contents::new(header),
            journal,
            is_to_point: request.is_latest,
        })
    }

    fn resume(run: &Path, fingerprint: &Fingerprint) -> Result<Self> {
        let path = results::real_name(run);
        let (journal, contents) = Journal::resume(&path).map_err(|error| match error {
            journal::Error::Io { ref reason, .. }
                if reason.kind() == std::io::ErrorKind::NotFound =>
            {
                no_journal(&path).into()
            }
            error => anyhow::Error::from(error).context("--resume"),
        })?;
        let differences = contents.header.fingerprint.differences(fingerprint);
        if differences.is_empty() {
            return Ok(Self {
                // One that was stopped before it had measured anything may be the newest by now.
                is_to_point: results::is_newest(&path),
                path,
                contents,
                journal,
            });
        }
        let message = format!(
            "--resume: {} was started with other settings, and its samples cannot be compared:\n  {}\nGive it the flags of its start, or leave --resume out for a new run.",
            path.display(),
            differences.join("\n  "),
        );
        Err(Unusable(message).into())
    }
}

/// Makes the folder that runs are made in; if it was missing it is gone again when dropped, unless something is in it.
pub(super) fn make_parent(request: &Request) -> Result<MadeFolders> {
    let made = MadeFolders::folder(&request.out)
        .map_err(|error| results::unusable(&request.out, &error))?;
    refuse_memory(request)?;
    Ok(made)
}

fn nothing_to_resume(request: &Request) -> Unusable {
    let out = request.out.display();
    let (flag, state) = match request.rerun_failed {
        true => ("--rerun-failed", "has a sample that is missing or not ok"),
        false => ("--resume", "is unfinished"),
    };
    Unusable(format!(
        "{flag}: no run in {out} {state}; name one with --resume RUN, or leave the flag out"
    ))
}

fn no_journal(run: &Path) -> Unusable {
    let packed = run.join(journal::PACKED_NAME);
    Unusable(match packed.exists() {
        true => format!(
            "--resume: the journal is packed; unpack it first: gunzip {}",
            packed.display()
        ),
        false if run.is_dir() => format!(
            "--resume: {} has no journal ({}): there is nothing to resume; leave --resume out for a new run",
            run.display(),
            journal::FILE_NAME,
        ),
        false => format!("--resume: there is no run in {}", run.display()),
    })
}

/// Without paths, as it is kept.
fn fingerprint(request: &Request) -> Result<Fingerprint> {
    let settings = &request.settings;
    let subjects = settings.subjects.iter().map(|subject| &subject.server);
    let servers = match settings.subjects.is_empty() {
        true => vec![&settings.server],
        false => subjects.collect(),
    };
    let commands: Vec<&str> = servers.into_iter().filter_map(command).collect();
    let crc32 = crc32fast::hash(commands.join("\0").as_bytes());
    let server_cmd_crc32 = (!commands.is_empty()).then(|| format!("{crc32:08x}"));
    Ok(without_paths(&Fingerprint {
        plan: request.plan_name,
        cells: request.plan.cells.clone(),
        full_len: request.plan.full_len,
        repeats: request.repeats,
        order: request.order,
        settings: request.settings.clone(),
        server_cmd_crc32,
        binary: environment::program().context("cannot read this program's own file")?,
        machine: environment::machine(),
    })?)
}

fn command(server: &ServerChoice) -> Option<&str> {
    match server {
        ServerChoice::Own | ServerChoice::Target { .. } => None,
        ServerChoice::Command(it) => Some(&it.command),
    }
}

/// A run whose files are in memory measures something else: only on explicit wish.
fn refuse_memory(request: &Request) -> Result<()> {
    let file_system = environment::file_system(&request.out).unwrap_or_default();
    // Of a target the files are wherever its folder is.
    let is_elsewhere = matches!(request.settings.server, ServerChoice::Target { .. });
    let is_in_memory = matches!(file_system.as_str(), "tmpfs" | "ramfs");
    if request.work_dir.is_some() || is_elsewhere || !is_in_memory {
        return Ok(());
    }
    let out = request.out.display();
    Err(Unusable(format!(
        "{out} is in memory ({file_system}), so the measured files would be too: put them on a disk with --work-dir DIR, or insist with --work-dir {out}"
    ))
    .into())
}
