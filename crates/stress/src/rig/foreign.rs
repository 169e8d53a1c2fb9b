//! Somebody else's server: a command of the user's, under a guard that ends it when the harness is gone.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use proto::announce::{Done, Ready};

use super::{Place, Rig, wait_within};
use crate::guard;
use crate::matrix::Cell;

/// From the start to the first connection it takes.
const READY_TIMEOUT: Duration = Duration::from_secs(20);

/// Between two tries to connect.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// For one try to connect.
const TRY_TIMEOUT: Duration = Duration::from_secs(1);

/// The guard's own patience with the server, and a little.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A foreign server, through its guard.
#[derive(Debug)]
pub struct ForeignRig {
    guard: Child,
    address: SocketAddr,
}

/// Starts `command`, with `{port}`, `{workers}` and `{root}` filled in, and waits until it takes a connection.
///
/// # Errors
/// Says what went wrong, with the server's own last words.
pub fn start(cell: &Cell, command: &str, place: &Place) -> Result<ForeignRig, String> {
    let port = free_port().map_err(|error| format!("cannot find a free port: {error}"))?;
    let words = words(command, port, cell.servers, place)?;
    let executable = std::env::current_exe().map_err(|error| format!("cannot find this executable: {error}"))?;
    let log = place.open_log()?;
    let log_again = log.try_clone().map_err(|error| format!("cannot share the server's log: {error}"))?;
    let guard = Command::new(executable)
        .arg(guard::SUBCOMMAND)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(log_again)
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start the server's guard: {error}"))?;
    let mut rig = ForeignRig { guard, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) };
    rig.wait_until_ready().map_err(|what| format!("{what}{}", place.last_words()))?;
    Ok(rig)
}

/// A port that was free a moment ago: the server is told it, and cannot be handed a socket.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The command's words, split as a shell splits them and only then filled in, so that no path is split.
fn words(command: &str, port: u16, workers: u32, place: &Place) -> Result<Vec<String>, String> {
    let words = shlex::split(command)
        .filter(|words| !words.is_empty())
        .ok_or_else(|| format!("--server-cmd '{command}': a quote is not closed, or there is no command"))?;
    let root = place.root.to_string_lossy();
    Ok(words
        .into_iter()
        .map(|word| {
            word.replace("{port}", &port.to_string())
                .replace("{workers}", &workers.to_string())
                .replace("{root}", &root)
        })
        .collect())
}

impl ForeignRig {
    fn wait_until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            if TcpStream::connect_timeout(&self.address, TRY_TIMEOUT).is_ok() {
                return Ok(());
            }
            if let Ok(Some(status)) = self.guard.try_wait() {
                return Err(format!("the server ended before it took a connection ({status})"));
            }
            if Instant::now() >= deadline {
                return Err(format!("the server took no connection on {} within {READY_TIMEOUT:?}", self.address));
            }
            std::thread::sleep(TRY_AGAIN);
        }
    }
}

impl Rig for ForeignRig {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn ready(&self) -> Option<&Ready> {
        None
    }

    fn stop(&mut self) -> Result<Option<Done>, String> {
        let had_ended = matches!(self.guard.try_wait(), Ok(Some(_)));
        self.abort();
        let exit = wait_within(&mut self.guard, EXIT_TIMEOUT);
        if had_ended { Err(format!("the server ended by itself ({exit})")) } else { Ok(None) }
    }

    fn abort(&mut self) {
        drop(self.guard.stdin.take());
    }
}

impl Drop for ForeignRig {
    fn drop(&mut self) {
        self.abort();
        wait_within(&mut self.guard, EXIT_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_before_it_is_filled_in() {
        let folder = tempfile::TempDir::with_prefix("with space").unwrap();
        let place = Place::new(folder.path()).unwrap();
        let words = words("python3 'my server.py' --port={port} -w {workers} {root}", 7, 5, &place).unwrap();
        let root = place.root.to_str().unwrap();
        assert_eq!(words, ["python3", "my server.py", "--port=7", "-w", "5", root]);
    }
}
