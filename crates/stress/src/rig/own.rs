//! Our own server: this executable, run again, on a port of the kernel's choice.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use proto::announce::{Announcement, Done, Ready};

use super::{Place, Rig};
use crate::matrix::{Cell, ServerPool};
use crate::measurement::Settings;

/// The hidden subcommand.
pub const SUBCOMMAND: &str = "__server";

/// From the start to READY.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// The server's own drain timeout is 30 s, and 2 s more until it kills.
const DONE_TIMEOUT: Duration = Duration::from_secs(40);

/// From DONE to the process's end.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Our server as a child process. Standard input is its leash: it stops at once when that ends.
#[derive(Debug)]
pub struct OwnRig {
    child: Child,
    lines: Receiver<String>,
    ready: Ready,
    address: SocketAddr,
}

/// Starts it and waits for READY.
///
/// # Errors
/// Says what went wrong, with the server's own last words.
pub fn start(cell: &Cell, settings: &Settings, place: &Place) -> Result<OwnRig, String> {
    let executable = std::env::current_exe().map_err(|error| format!("cannot find this executable: {error}"))?;
    let mut child = Command::new(executable)
        .args(arguments(cell, settings, place))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(place.open_log()?)
        // A terminal's Ctrl-C is for the harness, which stops its server in order.
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start the server: {error}"))?;
    let lines = lines_of(child.stdout.take());
    match wait_until_ready(&lines) {
        Ok((ready, address)) => Ok(OwnRig { child, lines, ready, address }),
        Err(what) => {
            let _ = child.kill();
            let _ = child.wait();
            Err(format!("{what}{}", place.last_words()))
        }
    }
}

fn arguments(cell: &Cell, settings: &Settings, place: &Place) -> Vec<OsString> {
    let pool = match cell.server_pool {
        ServerPool::Process => "process",
        ServerPool::Thread => "thread",
    };
    let mut arguments: Vec<OsString> = vec![SUBCOMMAND.into(), "--root".into(), place.root.clone().into()];
    let workers = cell.servers.to_string();
    let words = [
        ["--bind", "127.0.0.1:0"],
        ["--pool", pool],
        ["--workers", &workers],
        ["--durability", &settings.durability],
        ["--congestion", &settings.congestion],
        ["--log-level", "warn"],
    ];
    arguments.extend(words.into_iter().flatten().map(OsString::from));
    if let Some(bytes) = settings.server_buffer {
        arguments.extend([OsString::from("--receive-buffer"), bytes.to_string().into()]);
    }
    arguments.push("--exit-with-stdin".into());
    arguments
}

fn wait_until_ready(lines: &Receiver<String>) -> Result<(Ready, SocketAddr), String> {
    let line = lines.recv_timeout(READY_TIMEOUT).map_err(|_| "the server did not become ready".to_owned())?;
    match Announcement::from_line(&line) {
        Ok(Announcement::Ready(ready)) => match ready.address.parse() {
            Ok(address) => Ok((ready, address)),
            Err(error) => Err(format!("the server's address makes no sense: {error}")),
        },
        _ => Err("the server's first line is not READY".to_owned()),
    }
}

fn lines_of(output: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in output.into_iter().flat_map(|output| BufReader::new(output).lines().map_while(Result::ok)) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

impl Rig for OwnRig {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn ready(&self) -> Option<&Ready> {
        Some(&self.ready)
    }

    fn stop(&mut self) -> Result<Option<Done>, String> {
        // It has not been waited for, so the pid is still its own.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
        let line = self.lines.recv_timeout(DONE_TIMEOUT);
        let exit = super::wait_within(&mut self.child, EXIT_TIMEOUT);
        match line.as_deref().map(Announcement::from_line) {
            Ok(Ok(Announcement::Done(done))) => Ok(Some(done)),
            _ => Err(format!("the server left no ledger ({exit})")),
        }
    }

    fn abort(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for OwnRig {
    fn drop(&mut self) {
        self.abort();
        let deadline = Instant::now() + EXIT_TIMEOUT;
        super::wait_within(&mut self.child, deadline.saturating_duration_since(Instant::now()));
    }
}
