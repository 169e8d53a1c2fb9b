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
}

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
                });
            }
        }
        trace
    }

    /// Every call that was made to fail.
    pub(super) fn injected(&self) -> impl Iterator<Item = &Call> {
        self.threads.values().flatten().filter(|it| it.is_injected)
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
