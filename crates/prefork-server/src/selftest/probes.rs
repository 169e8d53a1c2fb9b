//! What the self-test's worker tries, in the root and out of it.
//!
//! What unexpectedly succeeds is undone: a failed self-test leaves nothing behind.

use std::ffi::CString;
use std::io::{self, IoSliceMut};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat, renameat};
use nix::sys::signal::kill;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat, stat};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{
    ForkResult, UnlinkatFlags, close, execv, linkat, mkdir, symlinkat, truncate, unlink, unlinkat,
};
use proto::FileName;

use super::{Ground, Outcome, Trial, Wanted, wanted};
use crate::store::{Store, StoreError};
use crate::sys;

/// What a worker must be able to do.
const INSIDE: &str = "upload, list, download and delete in the root";

/// The same under `--read-only`.
const INSIDE_READ_ONLY: &str = "list and download in the root";

/// Something that a worker must not be able to do.
struct Probe {
    what: &'static str,
    /// The first version of Landlock that denies it; none if no version does.
    denied_from: Option<u32>,
    attempt: fn(&Ground, &Store) -> io::Result<()>,
}

/// In this order: what could destroy the file outside comes last.
const PROBES: [Probe; 20] = [
    probe("read /etc/passwd", Some(1), |_, _| {
        opened(open("/etc/passwd", READ, NO_MODE))
    }),
    probe(
        "list the folder that holds the root",
        Some(1),
        |_, store| {
            opened(openat(
                store.directory(),
                "..",
                READ | OFlag::O_DIRECTORY,
                NO_MODE,
            ))
        },
    ),
    probe(
        "read a file of its own user's outside",
        Some(1),
        |ground, _| opened(open(&ground.outside_file, READ, NO_MODE)),
    ),
    probe(
        "write to a file of its own user's outside",
        Some(1),
        |ground, _| opened(open(&ground.outside_file, OFlag::O_WRONLY, NO_MODE)),
    ),
    probe("make a file outside", Some(1), |ground, _| {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY;
        open(&ground.outside_name, flags, Mode::S_IRUSR).map(drop)?;
        Ok(unlink(&ground.outside_name)?)
    }),
    probe("make a folder outside", Some(1), |ground, _| {
        mkdir(&ground.outside_name, Mode::S_IRWXU)?;
        Ok(unlinkat(
            AT_FDCWD,
            &ground.outside_name,
            UnlinkatFlags::RemoveDir,
        )?)
    }),
    probe(
        "link a file from outside into the root",
        Some(1),
        |ground, store| {
            linkat(
                AT_FDCWD,
                &ground.outside_file,
                store.directory(),
                STRAY,
                AtFlags::empty(),
            )?;
            remove(store, UnlinkatFlags::NoRemoveDir)
        },
    ),
    probe("make a symbolic link in the root", Some(1), |_, store| {
        symlinkat("/etc/passwd", store.directory(), STRAY)?;
        remove(store, UnlinkatFlags::NoRemoveDir)
    }),
    probe("run a program", Some(1), |_, _| run_a_program()),
    probe("read another process's memory", Some(1), |ground, _| {
        read_memory_of(ground)
    }),
    probe("connect to a TCP port", Some(4), |ground, _| {
        TcpStream::connect(ground.tcp).map(drop)
    }),
    probe("listen on a TCP port", Some(4), |_, _| {
        TcpListener::bind("127.0.0.1:0").map(drop)
    }),
    probe(
        "connect to an abstract Unix socket",
        Some(6),
        |ground, _| UnixStream::connect_addr(&ground.abstract_socket).map(drop),
    ),
    probe("signal another process", Some(6), |ground, _| {
        // Signal 0: whether it could, without doing it.
        Ok(kill(ground.parent, None)?)
    }),
    probe("connect to a Unix socket outside", Some(9), |ground, _| {
        UnixStream::connect(&ground.unix_socket).map(drop)
    }),
    probe("send a UDP datagram", Some(10), |ground, _| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.send_to(b"self-test", ground.udp).map(drop)
    }),
    probe("see that a file outside exists", None, |ground, _| {
        stat(&ground.outside_file).map(drop)?;
        Ok(())
    }),
    probe(
        "change the mode of a file of its own user's outside",
        None,
        |ground, _| {
            let mode = Mode::S_IRUSR | Mode::S_IWUSR;
            let follow = FchmodatFlags::FollowSymlink;
            Ok(fchmodat(AT_FDCWD, &ground.outside_file, mode, follow)?)
        },
    ),
    probe(
        "cut a file of its own user's outside short",
        Some(3),
        |ground, _| Ok(truncate(&ground.outside_file, 0)?),
    ),
    probe(
        "move or remove a file of its own user's outside",
        Some(1),
        |ground, store| match renameat(AT_FDCWD, &ground.outside_file, store.directory(), STRAY) {
            Ok(()) => remove(store, UnlinkatFlags::NoRemoveDir),
            Err(_) => Ok(unlink(&ground.outside_file)?),
        },
    ),
];

/// What a worker must not be able to do in a root that is only read. None of it changes anything there that
/// could not be undone, even if it succeeds.
const READ_ONLY_PROBES: [Probe; 3] = [
    probe("make a file in the root", Some(1), |_, store| {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        openat(store.directory(), STRAY, flags, Mode::S_IRUSR).map(drop)?;
        remove(store, UnlinkatFlags::NoRemoveDir)
    }),
    probe("make an unnamed file in the root", Some(1), |_, store| {
        let flags = OFlag::O_TMPFILE | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        opened(openat(store.directory(), ".", flags, Mode::S_IRUSR))
    }),
    probe("make a folder in the root", Some(1), |_, store| {
        mkdirat(store.directory(), STRAY, Mode::S_IRWXU)?;
        remove(store, UnlinkatFlags::RemoveDir)
    }),
];

/// The same for a file that is there.
const READ_ONLY_FILE_PROBES: [FileProbe; 2] = [
    ("write to a file in the root", |store, name| {
        let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        opened(openat(store.directory(), name, flags, NO_MODE))
    }),
    ("rename or remove a file in the root", |store, name| {
        // To its own name, which is allowed or not as any other, and does nothing (rename(2)).
        Ok(renameat(store.directory(), name, store.directory(), name)?)
    }),
];

type FileProbe = (&'static str, fn(&Store, &str) -> io::Result<()>);

const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_CLOEXEC);
const NO_MODE: Mode = Mode::empty();

/// A hidden name in the root, which no client can see for the moment that it might exist.
const STRAY: &str = ".prefork-self-test";

const fn probe(
    what: &'static str,
    denied_from: Option<u32>,
    attempt: fn(&Ground, &Store) -> io::Result<()>,
) -> Probe {
    Probe {
        what,
        denied_from,
        attempt,
    }
}

fn opened(file: nix::Result<OwnedFd>) -> io::Result<()> {
    file.map(drop).map_err(io::Error::from)
}

fn remove(store: &Store, flag: UnlinkatFlags) -> io::Result<()> {
    Ok(unlinkat(store.directory(), STRAY, flag)?)
}

/// Tries everything. `abi` is the version of Landlock in force.
pub(super) fn all(ground: &Ground, store: &Store, abi: Option<u32>) -> Vec<Trial> {
    let attempt = |probe: &Probe| {
        let result = (probe.attempt)(ground, store);
        trial(probe.what, wanted(probe.denied_from, abi), result)
    };
    let mut trials = Vec::new();
    if store.is_read_only() {
        trials.push(trial(
            INSIDE_READ_ONLY,
            Wanted::Allowed,
            read_the_root(store),
        ));
        trials.extend(READ_ONLY_PROBES.iter().map(attempt));
        trials.extend(try_a_file(store, abi));
    } else {
        trials.push(trial(INSIDE, Wanted::Allowed, use_the_root(store)));
    }
    trials.extend(PROBES.iter().map(attempt));
    trials
}

/// Tries the first file of the root; nothing where there is none.
fn try_a_file(store: &Store, abi: Option<u32>) -> Vec<Trial> {
    let Ok(listing) = store.list() else {
        return Vec::new();
    };
    let Some(name) = listing.names().next() else {
        return Vec::new();
    };
    let attempt = |(what, attempt): FileProbe| {
        let result = attempt(store, name.as_str());
        trial(what, wanted(Some(1), abi), result)
    };
    READ_ONLY_FILE_PROBES.map(attempt).into()
}

fn trial(what: &str, wanted: Wanted, result: io::Result<()>) -> Trial {
    let errno = result
        .as_ref()
        .err()
        .and_then(io::Error::raw_os_error)
        .map(Errno::from_raw);
    let outcome = match (&result, errno) {
        (Ok(()), _) => Outcome::Allowed,
        (_, Some(Errno::EACCES | Errno::EPERM | Errno::EXDEV | Errno::EROFS)) => Outcome::Denied,
        _ => Outcome::Failed,
    };
    Trial {
        what: what.to_owned(),
        outcome,
        error: result.err().map(|error| match errno {
            Some(errno) => format!("{errno:?}"),
            None => error.to_string(),
        }),
        wanted,
        passed: match wanted {
            Wanted::Allowed => outcome == Outcome::Allowed,
            Wanted::Denied => outcome == Outcome::Denied,
            Wanted::Either => outcome != Outcome::Failed,
        },
    }
}

/// What a client's requests come to, through the same store.
fn use_the_root(store: &Store) -> io::Result<()> {
    let content = b"self-test";
    let name: FileName = format!("prefork-self-test-{}", std::process::id())
        .parse()
        .map_err(|_| io::Error::other("the name is none"))?;
    let round = || -> Result<bool, StoreError> {
        let mut upload = store.create(&name)?;
        upload.write(content)?;
        upload.commit()?;
        let is_listed = store.list()?.names().any(|listed| *listed == name);
        let download = store.read(&name)?;
        let mut read = vec![0; usize::try_from(download.len()).unwrap_or(0)];
        download.read_exact_at(&mut read, 0)?;
        store.delete(&name)?;
        Ok(is_listed && read == content)
    };
    match round() {
        Ok(true) => Ok(()),
        Ok(false) => Err(io::Error::other("it came back different")),
        Err(error) => Err(io_error(error)),
    }
}

/// The same where nobody may change anything: the first file is as good as any.
fn read_the_root(store: &Store) -> io::Result<()> {
    let listing = store.list().map_err(io_error)?;
    let Some(name) = listing.names().next() else {
        return Ok(());
    };
    let download = store.read(name).map_err(io_error)?;
    let mut start = [0; 4096];
    let len = start
        .len()
        .min(usize::try_from(download.len()).unwrap_or(0));
    download.read_exact_at(&mut start[..len], 0)
}

fn io_error(error: StoreError) -> io::Error {
    match error {
        StoreError::Io(error) => error,
        error => io::Error::other(error.to_string()),
    }
}

/// What is added to an error's number, so that it is no exit code of this program's.
const NOT_RUN: i32 = 100;

/// Starts this program again, in a process of its own, just to print its version to nobody; whatever it says to that, it
/// has run.
fn run_a_program() -> io::Result<()> {
    let child = match sys::fork()? {
        ForkResult::Child => {
            for fd in 0..=2 {
                let _ = close(fd);
            }
            let path = CString::from(c"/proc/self/exe");
            let argv = [path.clone(), CString::from(c"--version")];
            let Err(errno) = execv(&path, &argv);
            sys::exit_now(NOT_RUN + errno as i32)
        }
        ForkResult::Parent { child } => child,
    };
    match waitpid(child, None)? {
        WaitStatus::Exited(_, code @ NOT_RUN..) => {
            Err(io::Error::from_raw_os_error(code - NOT_RUN))
        }
        WaitStatus::Exited(..) => Ok(()),
        other => Err(io::Error::other(format!("{other:?}"))),
    }
}

/// Reads one byte of the parent's memory, at an address that parent and child both have.
fn read_memory_of(ground: &Ground) -> io::Result<()> {
    let mut byte = [0];
    let remote = RemoteIoVec {
        base: std::ptr::from_ref(ground).addr(),
        len: 1,
    };
    process_vm_readv(ground.parent, &mut [IoSliceMut::new(&mut byte)], &[remote])?;
    Ok(())
}
