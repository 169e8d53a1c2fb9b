//! Errors in words for a person: without the kernel's names and numbers for them, and with what to do about it.

use std::fmt::Display;
use std::io::{self, ErrorKind};
use std::path::Path;

use nix::errno::Errno;

pub(crate) use cli_kit::output::plain;

/// An error with its reasons, outermost first. A reason that the one before has told already is left out.
#[must_use]
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let words = match (
            cause.downcast_ref::<Errno>(),
            cause.downcast_ref::<io::Error>(),
        ) {
            (Some(errno), _) => errno.desc().to_owned(),
            (_, Some(error)) => plain(error),
            _ => cause.to_string(),
        };
        if text.is_empty() {
            text = words;
        } else if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
    }
    text
}

/// Why the file that `flag` names cannot be opened for writing, or made, and what to do about it.
#[must_use]
pub(crate) fn cannot_write(flag: &str, path: &Path, error: &io::Error) -> String {
    let remedy = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            "; its folder must be there: make it with mkdir -p"
        }
        ErrorKind::PermissionDenied => {
            "; its folder must be one that the server's user may write to"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "; name a file that is not on a file system mounted read-only"
        }
        ErrorKind::IsADirectory => "; name a file in it",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; make room on that disk, or name another"
        }
        _ if error.raw_os_error() == Some(Errno::ENXIO as i32) => {
            "; if it is a pipe, start its reader first"
        }
        _ if error.raw_os_error() == Some(Errno::ELOOP as i32) => "; name a file, not a link",
        _ => "",
    };
    format!(
        "cannot write {flag} {}: {}{remedy}",
        path.display(),
        plain(error)
    )
}

/// Why a process or a thread cannot be started, with the limit that was met.
#[must_use]
pub(crate) fn cannot_start(what: impl Display, errno: Errno) -> String {
    let limit = match errno {
        Errno::EAGAIN => {
            "; too many processes and threads: RLIMIT_NPROC (ulimit -u), pids.max of the cgroup, or kernel.threads-max"
        }
        Errno::ENOMEM => "; memory is short: the machine's, or memory.max of the cgroup",
        _ => "",
    };
    format!("cannot start {what}: {}{limit}", errno.desc())
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn no_name_and_no_number_of_the_kernels_is_in_a_message() {
        let errno: anyhow::Error = Errno::EAGAIN.into();
        let said = chain(&errno.context("cannot do it"));
        assert_eq!(said, "cannot do it: Try again");
        let error: io::Result<()> = Err(io::Error::from_raw_os_error(13));
        let said = chain(&error.context("/x").context("--flag").unwrap_err());
        assert_eq!(said, "--flag: /x: Permission denied");
    }

    #[test]
    fn what_is_told_is_not_told_again() {
        let error: io::Result<()> = Err(io::Error::from_raw_os_error(13));
        let said = chain(&error.context("cannot: Permission denied").unwrap_err());
        assert_eq!(said, "cannot: Permission denied");
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named_with_its_flag_and_the_cure() {
        for (errno, cure) in [
            (Errno::ENOENT, "mkdir -p"),
            (Errno::EACCES, "may write to"),
            (Errno::EROFS, "read-only"),
            (Errno::EISDIR, "a file in it"),
            (Errno::ENXIO, "start its reader"),
            (Errno::ELOOP, "not a link"),
            (Errno::ENOSPC, "make room"),
        ] {
            let said = cannot_write("--pidfile", Path::new("/a/b"), &errno.into());
            assert!(said.starts_with("cannot write --pidfile /a/b: "), "{said}");
            assert!(said.contains(cure), "{said}");
        }
    }

    #[test]
    fn what_cannot_be_started_says_which_limit_it_met() {
        assert!(cannot_start("a worker", Errno::EAGAIN).contains("pids.max"));
        assert!(cannot_start("a worker", Errno::ENOMEM).contains("memory.max"));
    }
}
