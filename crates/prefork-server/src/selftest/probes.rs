//! What the self-test's worker tries, in the root and out of it.
//!
//! What unexpectedly succeeds is undone: a failed self-test leaves nothing behind.

use std::ffi::CString;
use std::io::{self, IoSliceMut};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;

use nix::NixPath;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, open, openat, renameat};
use nix::sys::signal::kill;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat, mkdirat, stat};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{
    UnlinkatFlags, close, execv, linkat, mkdir, symlinkat, truncate, unlink, unlinkat,
};
use proto::FileName;

use super::{Ground, Law, Trial};
use crate::store::{Store, StoreError};
use crate::sys;

use Law::*;

/// One thing that a worker tries.
struct Probe {
    law: Law,
    what: &'static str,
    attempt: fn(&Ground, &Store) -> io::Result<()>,
}

/// In this order: what could destroy the file outside comes last. What is tried in a root that is only read changes
/// nothing there that could not be undone, even if it succeeds.
const PROBES: [Probe; 27] = [
    probe(
        AllowedIfWritable,
        "upload, list, download and delete in the root",
        |_, store| use_the_root(store),
    ),
    probe(
        AllowedIfReadOnly,
        "list and download in the root",
        read_the_root,
    ),
    probe(DeniedIfReadOnly, "make a file in the root", |_, store| {
        opened_in(store, STRAY, NEW)?;
        remove_stray(store, UnlinkatFlags::NoRemoveDir)
    }),
    probe(
        DeniedIfReadOnly,
        "make an unnamed file in the root",
        |_, store| opened_in(store, ".", OFlag::O_TMPFILE | OFlag::O_WRONLY),
    ),
    probe(DeniedIfReadOnly, "make a folder in the root", |_, store| {
        mkdirat(store.directory(), STRAY, Mode::S_IRWXU)?;
        remove_stray(store, UnlinkatFlags::RemoveDir)
    }),
    probe(
        FileDeniedIfReadOnly,
        "write to a file in the root",
        |ground, store| {
            let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
            opened_in(store, root_file(ground), flags)
        },
    ),
    probe(
        FileDeniedIfReadOnly,
        "rename or remove a file in the root",
        |ground, store| {
            // To its own name, which is allowed or not as any other, and does nothing (rename(2)).
            let (root, name) = (store.directory(), root_file(ground));
            Ok(renameat(root, name, root, name)?)
        },
    ),
    probe(DeniedFrom(1), "read /etc/passwd", |_, _| {
        opened("/etc/passwd", OFlag::O_RDONLY)
    }),
    probe(
        DeniedFrom(1),
        "list the folder that holds the root",
        |_, store| opened_in(store, "..", OFlag::O_RDONLY | OFlag::O_DIRECTORY),
    ),
    probe(
        DeniedFrom(1),
        "read a file of its own user's outside",
        |ground, _| opened(&ground.outside_file, OFlag::O_RDONLY),
    ),
    probe(
        DeniedFrom(1),
        "write to a file of its own user's outside",
        |ground, _| opened(&ground.outside_file, OFlag::O_WRONLY),
    ),
    probe(DeniedFrom(1), "make a file outside", |ground, _| {
        opened(&ground.outside_name, NEW)?;
        Ok(unlink(&ground.outside_name)?)
    }),
    probe(DeniedFrom(1), "make a folder outside", |ground, _| {
        mkdir(&ground.outside_name, Mode::S_IRWXU)?;
        let flag = UnlinkatFlags::RemoveDir;
        Ok(unlinkat(AT_FDCWD, &ground.outside_name, flag)?)
    }),
    probe(
        DeniedFrom(1),
        "link a file from outside into the root",
        |ground, store| {
            let (file, root) = (&ground.outside_file, store.directory());
            linkat(AT_FDCWD, file, root, STRAY, AtFlags::empty())?;
            remove_stray(store, UnlinkatFlags::NoRemoveDir)
        },
    ),
    probe(
        DeniedFrom(1),
        "make a symbolic link in the root",
        |_, store| {
            symlinkat("/etc/passwd", store.directory(), STRAY)?;
            remove_stray(store, UnlinkatFlags::NoRemoveDir)
        },
    ),
    probe(DeniedFrom(1), "run a program", |_, _| run_a_program()),
    probe(
        DeniedFrom(1),
        "read another process's memory",
        |ground, _| read_memory_of(ground),
    ),
    probe(DeniedFrom(4), "connect to a TCP port", |ground, _| {
        TcpStream::connect(ground.tcp.local_addr()?).map(drop)
    }),
    probe(DeniedFrom(4), "listen on a TCP port", |_, _| {
        TcpListener::bind("127.0.0.1:0").map(drop)
    }),
    probe(
        DeniedFrom(6),
        "connect to an abstract Unix socket",
        |ground, _| UnixStream::connect_addr(&ground.abstract_socket.local_addr()?).map(drop),
    ),
    probe(DeniedFrom(6), "signal another process", |ground, _| {
        // Signal 0: whether it could, without doing it.
        Ok(kill(ground.parent, None)?)
    }),
    probe(
        DeniedFrom(9),
        "connect to a Unix socket outside",
        |ground, _| UnixStream::connect_addr(&ground.unix_socket.local_addr()?).map(drop),
    ),
    probe(DeniedFrom(10), "send a UDP datagram", |ground, _| {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let to = ground.udp.local_addr()?;
        socket.send_to(b"self-test", to).map(drop)
    }),
    probe(NotDenied, "see that a file outside exists", |ground, _| {
        Ok(stat(&ground.outside_file).map(drop)?)
    }),
    probe(
        NotDenied,
        "change the mode of a file of its own user's outside",
        |ground, _| {
            let mode = Mode::S_IRUSR | Mode::S_IWUSR;
            let follow = FchmodatFlags::FollowSymlink;
            Ok(fchmodat(AT_FDCWD, &ground.outside_file, mode, follow)?)
        },
    ),
    probe(
        DeniedFrom(3),
        "cut a file of its own user's outside short",
        |ground, _| Ok(truncate(&ground.outside_file, 0)?),
    ),
    probe(
        DeniedFrom(1),
        "move or remove a file of its own user's outside",
        |ground, store| match renameat(AT_FDCWD, &ground.outside_file, store.directory(), STRAY) {
            Ok(()) => remove_stray(store, UnlinkatFlags::NoRemoveDir),
            Err(_) => Ok(unlink(&ground.outside_file)?),
        },
    ),
];

const NEW: OFlag = OFlag::O_CREAT.union(OFlag::O_EXCL).union(OFlag::O_WRONLY);

/// A hidden name in the root, which no client can see for the moment that it might exist.
const STRAY: &str = ".prefork-self-test";

const fn probe(
    law: Law,
    what: &'static str,
    attempt: fn(&Ground, &Store) -> io::Result<()>,
) -> Probe {
    Probe { law, what, attempt }
}

/// Tries everything. `abi` is the version of Landlock in force.
pub(super) fn all(ground: &Ground, store: &Store, abi: Option<u32>) -> Vec<Trial> {
    let is_tried = |probe: &&Probe| match probe.law {
        AllowedIfWritable => !store.is_read_only(),
        AllowedIfReadOnly | DeniedIfReadOnly => store.is_read_only(),
        FileDeniedIfReadOnly => store.is_read_only() && ground.root_file.is_some(),
        DeniedFrom(_) | NotDenied => true,
    };
    let attempt = |probe: &Probe| {
        Trial::new(
            probe.what,
            probe.law.wanted(abi),
            (probe.attempt)(ground, store),
        )
    };
    PROBES.iter().filter(is_tried).map(attempt).collect()
}

fn opened(path: &(impl NixPath + ?Sized), flags: OFlag) -> io::Result<()> {
    Ok(open(path, flags | OFlag::O_CLOEXEC, Mode::S_IRUSR).map(drop)?)
}

fn opened_in(store: &Store, name: &str, flags: OFlag) -> io::Result<()> {
    let flags = flags | OFlag::O_CLOEXEC;
    Ok(openat(store.directory(), name, flags, Mode::S_IRUSR).map(drop)?)
}

fn remove_stray(store: &Store, flag: UnlinkatFlags) -> io::Result<()> {
    Ok(unlinkat(store.directory(), STRAY, flag)?)
}

fn root_file(ground: &Ground) -> &str {
    ground.root_file.as_ref().map_or(".", FileName::as_str)
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
fn read_the_root(ground: &Ground, store: &Store) -> io::Result<()> {
    store.list().map_err(io_error)?;
    let Some(name) = &ground.root_file else {
        return Ok(());
    };
    let download = store.read(name).map_err(io_error)?;
    let len = usize::try_from(download.len()).unwrap_or(0).min(4096);
    download.read_exact_at(&mut vec![0; len], 0)
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
    let child = sys::fork(|| {
        for fd in 0..=2 {
            let _ = close(fd);
        }
        let path = CString::from(c"/proc/self/exe");
        let argv = [path.clone(), CString::from(c"--version")];
        let Err(errno) = execv(&path, &argv);
        NOT_RUN + errno as i32
    })?;
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
