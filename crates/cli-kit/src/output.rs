//! Both streams of a program: words to people on standard error, results on standard output.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Whether standard output takes nothing. The standard library cannot say: before `main` it opens /dev/null in place of
/// a descriptor that is closed, and it takes the error of one that cannot be written for a success.
static WAS_USELESS: AtomicBool = AtomicBool::new(false);

// SAFETY: the C library calls what this section lists once, on the only thread, before `main`. `look` has the calling
// convention of C, takes none of the arguments, and needs nothing that the standard library sets up for `main`.
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    let is_writable = fcntl(io::stdout().as_fd(), FcntlArg::F_GETFL)
        .is_ok_and(|flags| flags & OFlag::O_ACCMODE.bits() != OFlag::O_RDONLY.bits());
    WAS_USELESS.store(!is_writable, Ordering::Relaxed);
}

/// Says a line on standard error, with one write. Where nobody can read it (a terminal that is gone, a full disk) there is
/// nothing else to be done about it.
pub fn say(line: impl Display) {
    let line = format!("{line}\n");
    let _ = io::stderr().lock().write_all(line.as_bytes());
}

/// Writes results to standard output; a reader that has seen enough, such as `head`, is no error.
///
/// # Errors
/// They did not all arrive, as on a full disk.
pub fn print(text: &str) -> io::Result<()> {
    // What is left unfinished in the buffer would otherwise be lost without a word.
    let write = || {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush())
    };
    match check().and_then(|()| write()) {
        Err(error) if !is_closed(&error) => Err(cannot_write(&error)),
        _ => Ok(()),
    }
}

/// What standard output did not take, in words for a person.
fn cannot_write(error: &io::Error) -> io::Error {
    let words = format!("cannot write to standard output: {}", plain(error));
    io::Error::new(error.kind(), words)
}

/// `Permission denied` for `Permission denied (os error 13)`.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    match (error.raw_os_error(), text.split_once(" (os error")) {
        (Some(errno), _) => Errno::from_raw(errno).desc().to_owned(),
        // A library has wrapped it, and put its own part behind.
        (None, Some((words, _))) => words.to_owned(),
        (None, None) => text,
    }
}

/// Whether the reader of standard output has gone: nothing to complain about.
pub fn is_closed(error: &io::Error) -> bool {
    error.kind() == ErrorKind::BrokenPipe
}

/// Prints what clap says of a command line, and gives the exit code: an error of usage on standard error, help and the
/// version, which are results, on standard output.
///
/// # Errors
/// A result did not all arrive.
pub fn print_usage(said: &clap::Error) -> io::Result<u8> {
    let printed = match said.use_stderr() {
        true => said.print().or(Ok(())),
        false => check().and_then(|()| said.print()),
    };
    match printed {
        Err(error) if !is_closed(&error) => Err(cannot_write(&error)),
        _ => Ok(u8::try_from(said.exit_code()).unwrap_or(2)),
    }
}

/// # Errors
/// What is written to standard output would be lost.
pub fn check() -> io::Result<()> {
    match WAS_USELESS.load(Ordering::Relaxed) {
        true => Err(io::Error::other("it is closed, or open for reading only")),
        false => Ok(()),
    }
}
