//! Every system call that the server makes, made to fail, one at a time: once, and from then on.
//!
//! Each phase of a server's life is played once with nothing that fails, to see which calls there are; then once for
//! each call, each error that it can have ([`errnos`]) and each time it is made, on a server of its own.

mod client;
mod errnos;
mod scene;
mod server;
mod session;
mod trace;

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use anyhow::{Result, bail};

use crate::keep::{Keeper, Tally};
use scene::{Injection, Outcome, Phase, Setting, begins_start, play};
pub(crate) use server::SERVER;

const POOLS: [&str; 3] = ["process", "thread", "event"];
const DURABILITIES: [&str; 3] = ["none", "data", "full"];

/// Servers at once: what is injected often makes one wait.
const SERVERS: usize = 8;

/// So many injections of each phase are the short version.
const SAMPLE: usize = 12;

/// One setting's injections of one call.
#[derive(Debug)]
struct Work {
    name: String,
    setting: Setting,
    injections: Vec<Injection>,
}

pub(crate) fn run(mut keeper: Keeper, smoke: bool) -> Result<u64> {
    let mut works = Vec::new();
    for setting in settings(smoke) {
        let Outcome { trace, tally } = play(setting, None)?;
        keeper.part(&format!("{setting}: nothing fails"), |it| it.join(tally))?;
        works.extend(works_of(setting, &trace, smoke));
    }
    works.retain(|work| !keeper.is_done(&work.name));
    do_all(&mut keeper, &works)?;
    Ok(keeper.finish())
}

/// Of the phases without a session only one durability: they write no file of a client's. An event worker starts as a
/// process does, and an upgrade is the same for all.
fn settings(smoke: bool) -> Vec<Setting> {
    let mut settings = Vec::new();
    for phase in Phase::ALL {
        let (pools, durabilities) = match phase {
            Phase::Session => (&POOLS[..], &DURABILITIES[..]),
            Phase::Start => (&POOLS[..2], &["full"][..]),
            Phase::Upgrade => (&POOLS[..1], &["full"][..]),
            Phase::Reload | Phase::Stop => (&POOLS[..], &["full"][..]),
        };
        let of = |&durability| {
            pools.iter().map(move |&pool| Setting {
                phase,
                pool,
                durability,
            })
        };
        let all: Vec<_> = durabilities.iter().flat_map(of).collect();
        match smoke {
            true => settings.push(all[chance((phase.name(), "which")) % all.len()]),
            false => settings.extend(all),
        }
    }
    settings
}

/// What can fail where a trace was recorded, by call.
fn works_of(setting: Setting, trace: &trace::Trace, smoke: bool) -> Vec<Work> {
    let mut by_call = BTreeMap::<&str, BTreeSet<(usize, &str, bool)>>::new();
    let marker: Option<fn(&_) -> bool> = match setting.phase {
        Phase::Start => Some(begins_start),
        _ => None,
    };
    let calls = trace.occurrences(marker);
    for (call, nth) in &calls {
        let Some(errnos) = errnos::of(&call.name, &call.args) else {
            eprintln!("proof: nothing is known of {}; it is left out", call.name);
            continue;
        };
        let injections = by_call.entry(&call.name).or_default();
        for errno in errnos {
            injections.insert((*nth, errno, false));
            injections.extend(errnos::lasts(errno).then_some((*nth, errno, true)));
        }
    }
    // What comes before the marker is not to be hit: there the first are its.
    let first = |name: &str| match setting.phase {
        Phase::Start => trace.first_after(begins_start, name),
        _ => 1,
    };
    let work = |(call, all): (&str, BTreeSet<(usize, &'static str, bool)>)| Work {
        name: format!("{setting}: {call}"),
        setting,
        injections: all
            .into_iter()
            .filter(|(nth, ..)| *nth >= first(call))
            .map(|(nth, errno, lasts)| Injection {
                call: call.to_owned(),
                errno,
                nth,
                lasts,
            })
            .collect(),
    };
    let works: Vec<_> = by_call
        .into_iter()
        .map(work)
        .filter(|it| !it.injections.is_empty())
        .collect();
    match smoke {
        true => vec![sample(setting, works)],
        false => works,
    }
}

/// Some of all injections.
fn sample(setting: Setting, works: Vec<Work>) -> Work {
    let mut all: Vec<_> = works.into_iter().flat_map(|it| it.injections).collect();
    all.sort_by_cached_key(|it| chance((setting.to_string(), it.to_string())));
    all.truncate(SAMPLE);
    Work {
        name: format!("{setting}: some"),
        setting,
        injections: all,
    }
}

/// A number from what it is for, the same each time: what CI says of a change must not hang on its commit.
fn chance(what: impl Hash) -> usize {
    let mut hasher = DefaultHasher::new();
    (1_u32, what).hash(&mut hasher);
    hasher.finish() as usize
}

/// Plays everything, several servers at once, and keeps each part when it is done.
fn do_all(keeper: &mut Keeper, works: &[Work]) -> Result<()> {
    let tasks: Vec<_> = works
        .iter()
        .enumerate()
        .flat_map(|(part, work)| {
            work.injections
                .iter()
                .map(move |it| (part, work.setting, it))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let (sender, results) = channel();
    thread::scope(|scope| {
        for _ in 0..SERVERS {
            let (sender, next, tasks) = (sender.clone(), &next, &tasks);
            scope.spawn(move || {
                while let Some((part, setting, injection)) =
                    tasks.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    if sender
                        .send((*part, play(*setting, Some(injection))))
                        .is_err()
                    {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut done: Vec<(Tally, usize)> = works.iter().map(|_| Default::default()).collect();
        for (part, work) in works.iter().enumerate() {
            while done[part].1 < work.injections.len() {
                let Ok((of, outcome)) = results.recv() else {
                    bail!("a thread of the campaign is gone");
                };
                done[of].0.join(outcome?.tally);
                done[of].1 += 1;
            }
            let tally = std::mem::take(&mut done[part].0);
            keeper.part(&work.name, |it| it.join(tally))?;
        }
        Ok(())
    })
}
