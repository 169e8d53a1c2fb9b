//! The process that reads what [`super`] sends, and does nothing with it.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;

use cli_kit::output;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::{LIMIT, READ_LEN};

/// Runs a sink. `args` are the role's name, the number of connections, and the process that starts it.
#[must_use]
pub(crate) fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut numbers = args
        .into_iter()
        .skip(1)
        .filter_map(|word| word.to_str()?.parse().ok());
    let result = match (numbers.next(), numbers.next()) {
        (Some(connections), Some(parent)) => sink(connections, parent),
        _ => Err(io::Error::other("this is for the harness itself")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn sink(connections: u32, parent: u32) -> io::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if Pid::parent().as_raw().cast_unsigned() != parent {
        return Err(io::Error::other("the harness is gone"));
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    // The sender connects to all before it sends anything, or ends, and this process with it.
    let streams = (0..connections)
        .map(|_| Ok(listener.accept()?.0))
        .collect::<io::Result<Vec<TcpStream>>>()?;
    thread::scope(|scope| {
        let readers: Vec<_> = streams
            .into_iter()
            .map(|stream| scope.spawn(move || read(stream)))
            .collect();
        readers.into_iter().try_for_each(|reader| {
            reader
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a reader panicked")))
        })
    })
}

/// Reads to the end; closing tells the sender that all has come.
fn read(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(LIMIT))?;
    let mut piece = vec![0; READ_LEN];
    while stream.read(&mut piece)? > 0 {}
    Ok(())
}
