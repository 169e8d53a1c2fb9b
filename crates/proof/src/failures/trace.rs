//! What strace wrote: which calls each thread made, in its order.

use std::collections::BTreeMap;

/// A call as it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) name: String,
    /// As far as they were known then.
    pub(super) args: String,
    /// It was made to fail.
    pub(super) is_injected: bool,
    /// What came of it was seen, or that its process ended.
    has_ended: bool,
}

/// How the line of a call ends that has not: another thread's line comes between, or strace goes.
const UNENDED: [&str; 2] = ["<unfinished ...>", "<detached ...>"];

/// Each thread's calls.
#[derive(Debug, Default)]
pub(super) struct Trace {
    threads: BTreeMap<u32, Vec<Call>>,
}

impl Trace {
    pub(super) fn parse(text: &str) -> Self {
        let mut trace = Self::default();
        for line in text.lines() {
            let Some((tid, rest)) = line.split_once(' ') else {
                continue;
            };
            let (Ok(tid), rest) = (tid.parse(), rest.trim_start()) else {
                continue;
            };
            let calls = trace.threads.entry(tid).or_default();
            let is_injected = rest.ends_with("(INJECTED)");
            if rest.starts_with("<... ") {
                // The end of a call that began before.
                if let Some(last) = calls.last_mut() {
                    last.is_injected |= is_injected;
                    last.has_ended = true;
                }
            } else if rest.starts_with("+++ ") {
                if let Some(last) = calls.last_mut() {
                    last.has_ended = true;
                }
            } else if let Some((name, rest)) = rest.split_once('(')
                && name
                    .bytes()
                    .all(|it| it.is_ascii_alphanumeric() || it == b'_')
            {
                let args = rest.split(") = ").next().unwrap_or(rest);
                calls.push(Call {
                    name: name.to_owned(),
                    args: args.to_owned(),
                    is_injected,
                    has_ended: !UNENDED.iter().any(|it| rest.ends_with(it)),
                });
            }
        }
        trace
    }

    /// Every call that was made to fail.
    pub(super) fn injected(&self) -> impl Iterator<Item = &Call> {
        self.threads.values().flatten().filter(|it| it.is_injected)
    }

    /// Whether strace went after it had kept a call from being made, and before it could say how that fails: then it
    /// failed as a call that the kernel does not have. The `nth` of this name in its thread is such a call, and those
    /// after it if that `lasts`.
    pub(super) fn is_torn(&self, name: &str, nth: usize, lasts: bool) -> bool {
        let len = if lasts { usize::MAX } else { 1 };
        self.threads.values().any(|calls| {
            let of_name = calls.iter().filter(|it| it.name == name);
            let mut injected = of_name.skip(nth - 1).take(len);
            injected.any(|it| !it.has_ended)
        })
    }

    /// Every call, with which of its name it is in its thread. Of the thread that makes the call which `marker` describes
    /// only those from there on.
    pub(super) fn occurrences(&self, marker: Option<fn(&Call) -> bool>) -> Vec<(&Call, usize)> {
        let mut found = Vec::new();
        for calls in self.threads.values() {
            let begins = marker
                .and_then(|is_it| calls.iter().position(is_it))
                .unwrap_or(0);
            let mut before = BTreeMap::<&str, usize>::new();
            for (at, call) in calls.iter().enumerate() {
                let nth = before.entry(&call.name).or_default();
                *nth += 1;
                if at >= begins {
                    found.push((call, *nth));
                }
            }
        }
        found
    }

    /// The number of the first call of this name that no thread makes before the call which `marker` describes.
    pub(super) fn first_after(&self, marker: fn(&Call) -> bool, name: &str) -> usize {
        let before = |calls: &Vec<Call>| {
            let begins = calls.iter().position(marker).unwrap_or(0);
            calls[..begins].iter().filter(|it| it.name == name).count()
        };
        1 + self.threads.values().map(before).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_without_an_end_is_torn_if_it_was_to_fail() {
        let trace = Trace::parse(
            "\
7 read(3<pipe:[1]>, \"a\", 1) = 1
8 read(4<signalfd:[INT]>,  <unfinished ...>
7 read(3<pipe:[1]>, 0x7ff, 1) = -1 EIO (Input/output error) (INJECTED)
8 <... read resumed>0x7ff, 8) = -1 EAGAIN (Resource temporarily unavailable)
7 read(3<pipe:[1]>,  <detached ...>
9 read(3<pipe:[1]>, 0x7ff, 1) = 1
9 read(3<pipe:[1]>, 0x7ff, 1 <unfinished ...>
9 +++ killed by SIGKILL +++
",
        );
        for (nth, lasts, is_torn) in [
            (1, false, false),
            (2, false, false),
            (3, false, true),
            (1, true, true),
            (3, true, true),
            (4, true, false),
        ] {
            assert_eq!(trace.is_torn("read", nth, lasts), is_torn, "{nth} {lasts}");
        }
        assert!(!trace.is_torn("write", 1, true));
        assert_eq!(trace.injected().count(), 1);
    }
}
