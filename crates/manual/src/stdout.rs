//! Whether standard output takes anything. The standard library cannot say: before `main` it opens /dev/null in place
//! of a descriptor that is closed, and it takes the error of one that cannot be written for a success.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

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

/// # Errors
/// What is written to standard output would be lost.
pub fn check() -> io::Result<()> {
    match WAS_USELESS.load(Ordering::Relaxed) {
        true => Err(io::Error::other("it is closed, or open for reading only")),
        false => Ok(()),
    }
}
