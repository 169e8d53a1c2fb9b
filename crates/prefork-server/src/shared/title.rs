//! Names in `ps`: parent and workers tell themselves apart by their `comm` (PR_SET_NAME, at most 15 bytes).
//!
//! The parent keeps the program's name, so that `pgrep prefork-server` finds it and only it. The command line is left
//! as it was typed: to overwrite it is not sound in Rust.

use std::ffi::CString;

use nix::unistd::Pid;

use crate::sys;

const PARENT: &str = "prefork-server";
const FORMER_PARENT: &str = "prefork:old";

pub(crate) fn parent() {
    set(PARENT);
}

/// A parent that another server has taken over from.
pub(crate) fn former_parent() {
    set(FORMER_PARENT);
}

/// Whether a process lives and has a parent's name. Without /proc a living process may be one.
#[must_use]
pub(crate) fn is_server(pid: Pid) -> bool {
    let read = |whose: &str| sys::read_kernel_file(format!("/proc/{whose}/comm"));
    match (read(&pid.to_string()), read("self")) {
        (Some(name), _) => [PARENT, FORMER_PARENT].contains(&name.trim_end()),
        (None, Some(_)) => false,
        (None, None) => nix::sys::signal::kill(pid, None) != Err(nix::errno::Errno::ESRCH),
    }
}

/// Worker `index`, a process or a thread.
pub(crate) fn worker(index: u32) {
    set(&format!("prefork:w{index}"));
}

/// Worker `index`, which accepts nothing more.
pub(crate) fn retiring_worker(index: u32) {
    set(&format!("prefork:old{index}"));
}

/// The process that all worker threads are in.
pub(crate) fn threads() {
    set("prefork:threads");
}

/// That process once it is leaving.
pub(crate) fn retiring_threads() {
    set("prefork:oldthr");
}

/// A process that waits for file systems instead of the parent, and removes what dead workers left.
pub(crate) fn sweeper() {
    set("prefork:sweep");
}

/// The name is for people: that it cannot be set is no reason to do anything else differently.
fn set(name: &str) {
    if let Ok(name) = CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WORKERS_MAX;

    #[test]
    fn no_name_is_cut_short() {
        std::thread::spawn(|| {
            let check = |set: &dyn Fn(), want: &str| {
                set();
                assert_eq!(nix::sys::prctl::get_name().unwrap().to_str(), Ok(want));
            };
            check(&parent, "prefork-server");
            check(&former_parent, "prefork:old");
            check(&|| worker(WORKERS_MAX - 1), "prefork:w4095");
            check(&|| retiring_worker(WORKERS_MAX - 1), "prefork:old4095");
            check(&threads, "prefork:threads");
            check(&retiring_threads, "prefork:oldthr");
            check(&sweeper, "prefork:sweep");
        })
        .join()
        .unwrap();
    }
}
