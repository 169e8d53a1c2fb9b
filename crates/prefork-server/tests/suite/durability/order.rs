//! Checks the order of system calls behind every acknowledged upload and delete.
//!
//! One thread does all of one upload, so the order is that of its calls; other threads' come in between and do
//! not matter.

use std::collections::HashMap;
use std::str::FromStr;

use crate::trace::{Call, Trace};

/// What the server was told to promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Promise {
    None,
    Data,
    Full,
}

impl FromStr for Promise {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "none" => Ok(Self::None),
            "data" => Ok(Self::Data),
            "full" => Ok(Self::Full),
            other => Err(other.to_owned()),
        }
    }
}

/// The changes that were acknowledged, each as `upload NAME` or `delete NAME`; or all that was out of order.
pub(super) fn check(trace: &Trace, promise: Promise) -> Result<Vec<String>, Vec<String>> {
    let mut threads: HashMap<u32, Thread> = HashMap::new();
    for call in trace.calls() {
        threads
            .entry(call.tid)
            .or_insert_with(|| Thread::new(promise))
            .take_in(call);
    }
    let (shown, faults): (Vec<_>, Vec<_>) = threads
        .into_values()
        .map(|thread| (thread.shown, thread.faults))
        .unzip();
    let faults = faults.concat();
    match faults.is_empty() {
        true => Ok(shown.concat()),
        false => Err(faults),
    }
}

/// What one thread has under way.
struct Thread {
    promise: Promise,
    /// Unnamed files by descriptor.
    files: HashMap<String, File>,
    /// Changes to the folder that have not been acknowledged, oldest first.
    changes: Vec<Change>,
    shown: Vec<String>,
    faults: Vec<String>,
}

#[derive(Default)]
struct File {
    /// Changed since it was last synced, or never synced.
    is_dirty: bool,
    synced_by: Option<String>,
    hidden: Option<String>,
    was_linked_unsynced: bool,
}

struct Change {
    what: String,
    folder: String,
    is_synced: bool,
}

impl Thread {
    fn new(promise: Promise) -> Self {
        Self {
            promise,
            files: HashMap::new(),
            changes: Vec::new(),
            shown: Vec::new(),
            faults: Vec::new(),
        }
    }

    fn take_in(&mut self, call: &Call) {
        // A call that failed changed nothing, and a failed sync promises nothing.
        let Some(result) = call.result else { return };
        let arg = |at: usize| call.args.get(at).map_or("", String::as_str);
        match call.name.as_str() {
            "openat" | "openat2" | "accept4" => {
                self.files.remove(&result.to_string());
                if call.name == "openat" && arg(2).contains("O_TMPFILE") {
                    self.files.insert(
                        result.to_string(),
                        File {
                            is_dirty: true,
                            ..File::default()
                        },
                    );
                }
            }
            "close" => {
                self.files.remove(arg(0));
            }
            "linkat" => self.linked(call, arg(0), arg(1), arg(3)),
            "renameat" | "renameat2" => self.renamed(call, arg(1), arg(2), arg(3)),
            "unlinkat" => self.changes.push(Change {
                what: format!("delete {}", unquoted(arg(1))),
                folder: arg(0).to_owned(),
                is_synced: false,
            }),
            "fsync" | "fdatasync" => self.synced(call, arg(0)),
            "write" | "writev" | "pwrite64" | "ftruncate" | "fallocate" | "sendto" | "sendmsg" => {
                match self.files.get_mut(arg(0)) {
                    Some(file) if file.hidden.is_some() => {
                        self.fault(call, "changed after it was linked");
                    }
                    Some(file) => file.is_dirty = true,
                    None => self.sent(call),
                }
            }
            _ => {}
        }
    }

    fn linked(&mut self, call: &Call, fd: &str, path: &str, hidden: &str) {
        // Directly, or the way of older kernels.
        let fd = unquoted(path).strip_prefix("/proc/self/fd/").unwrap_or(fd);
        let Some(file) = self.files.get_mut(fd) else {
            return self.fault(call, "linked what was not opened");
        };
        file.hidden = Some(hidden.to_owned());
        // It matters only if a rename makes it an upload: what a file system can do is tried out with an empty file.
        file.was_linked_unsynced = file.is_dirty || file.synced_by.as_deref() != Some("fsync");
    }

    fn renamed(&mut self, call: &Call, hidden: &str, folder: &str, name: &str) {
        let file = self
            .files
            .values()
            .find(|file| file.hidden.as_deref() == Some(hidden));
        let Some(file) = file else {
            return self.fault(call, "renamed what was not linked");
        };
        let is_synced = !file.is_dirty && file.synced_by.is_some();
        match self.promise {
            Promise::Full if file.was_linked_unsynced => {
                self.fault(call, "linked before its last byte was synced");
            }
            Promise::Data if !is_synced => {
                self.fault(call, "renamed before its last byte was synced");
            }
            _ => {}
        }
        self.changes.push(Change {
            what: format!("upload {}", unquoted(name)),
            folder: folder.to_owned(),
            is_synced: false,
        });
    }

    fn synced(&mut self, call: &Call, fd: &str) {
        if self.promise == Promise::None {
            return self.fault(call, "synced without having promised it");
        }
        if let Some(file) = self.files.get_mut(fd) {
            file.is_dirty = false;
            file.synced_by = Some(call.name.clone());
        }
        for change in self.changes.iter_mut().filter(|change| change.folder == fd) {
            change.is_synced = true;
        }
    }

    fn sent(&mut self, call: &Call) {
        for what in acknowledged(call.args.get(1).map_or("", String::as_str)) {
            let Some(at) = self.changes.iter().position(|change| change.what == what) else {
                self.fault(call, &format!("acknowledged before it was done: {what}"));
                continue;
            };
            let change = self.changes.remove(at);
            if self.promise == Promise::Full && !change.is_synced {
                self.fault(call, "acknowledged before the folder was synced");
            }
            self.shown.push(what);
        }
    }

    fn fault(&mut self, call: &Call, what: &str) {
        let args = call.args.join(", ");
        self.faults
            .push(format!("{what}: {} {}({args})", call.tid, call.name));
    }
}

/// What the replies in a piece of output acknowledge.
fn acknowledged(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for piece in text
        .split(r#"\"data\":\""#)
        .chain(text.split(r#"\"message\":\""#))
    {
        for (verb, end) in [
            ("upload", " has been uploaded"),
            ("delete", " has been deleted"),
        ] {
            if let Some((name, _)) = piece.split_once(end)
                && !name.contains('"')
            {
                found.push(format!("{verb} {name}"));
            }
        }
    }
    found
}

fn unquoted(arg: &str) -> &str {
    arg.trim_matches('"')
}

mod tests;
