//! Ctrl-C and its like: the first ends the work in an orderly way, the second ends the program at once.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::{flag, low_level};

pub use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGTERM};

/// How a program ends that was interrupted: as a shell reports a process that SIGINT ended.
pub const EXIT_CODE: u8 = 130;

/// A flag that the first of `signals` sets; the second ends the process at once.
///
/// # Errors
/// What the system said.
pub fn catch(signals: &[i32]) -> io::Result<Arc<AtomicBool>> {
    let came = Arc::new(AtomicBool::new(false));
    for signal in signals {
        // Before the flag is set by the same signal: it is to see what the signal before it left.
        flag::register_conditional_shutdown(*signal, EXIT_CODE.into(), Arc::clone(&came))?;
    }
    set(&came, signals)?;
    Ok(came)
}

/// Lets `signals` set `flag` too.
///
/// # Errors
/// What the system said.
pub fn set(flag: &Arc<AtomicBool>, signals: &[i32]) -> io::Result<()> {
    for signal in signals {
        flag::register(*signal, Arc::clone(flag))?;
    }
    Ok(())
}

/// What can be read once any of `signals` has come.
///
/// # Errors
/// What the system said.
pub fn wake(signals: &[i32]) -> io::Result<UnixStream> {
    let (writer, reader) = UnixStream::pair()?;
    for signal in signals {
        low_level::pipe::register(*signal, writer.try_clone()?)?;
    }
    Ok(reader)
}
