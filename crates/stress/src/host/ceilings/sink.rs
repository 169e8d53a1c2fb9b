//! The process that reads what [`super`] sends, and does nothing with it.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;

use super::{LIMIT, READ_LEN};
use crate::host::child::end_with;

/// Runs a sink. `args` are the number of connections, and the process that starts it.
pub(crate) fn run(args: &[OsString]) -> io::Result<()> {
    let numbers: Vec<i32> = args
        .iter()
        .filter_map(|word| word.to_str()?.parse().ok())
        .collect();
    let [connections, parent] = numbers[..] else {
        return Err(io::Error::other("this is for the harness itself"));
    };
    end_with(parent)?;
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
