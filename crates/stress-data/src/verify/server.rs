//! What our server said of itself, against the settings of the run and within its own ledger. Pure.

use std::collections::BTreeSet;

use crate::measurement::{Measurement, Settings};
use proto::announce::{Done, Ready, WorkerLedger};

/// Everything about the server of a sample that cannot be.
pub(super) fn problems(measurement: &Measurement, settings: &Settings) -> Vec<String> {
    let mut problems = Vec::new();
    if let Some(ready) = &measurement.ready {
        problems.extend(setting_problems(ready, settings));
    }
    // That of a server that runs on is the difference of two looks at it, each process at its own time.
    let ledger = measurement.done.as_ref();
    if let Some(done) = ledger.filter(|done| done.reason != "running") {
        problems.extend(cpu_problems(done));
        let ready = measurement.ready.as_ref();
        problems.extend(ready.and_then(|ready| pid_problem(ready, done)));
    }
    problems
}

/// The server was started as the settings say.
fn setting_problems(ready: &Ready, settings: &Settings) -> Vec<String> {
    let said = &ready.settings;
    let pairs = [
        ("durability", &settings.durability, &said.durability),
        ("congestion", &settings.congestion, &said.congestion),
    ];
    let different = pairs.into_iter().filter(|(_, asked, said)| asked != said);
    different
        .map(|(what, asked, said)| {
            format!("the settings ask for {what} {asked}, and the server says {said}")
        })
        .collect()
}

/// The workers' times add up, where each has one: threads share a process.
fn cpu_problems(done: &Done) -> Vec<String> {
    type Of = fn(&WorkerLedger) -> Option<u64>;
    let kinds: [(&str, u64, Of); 2] = [
        ("user", done.cpu_user_us, |it| it.cpu_user_us),
        ("system", done.cpu_system_us, |it| it.cpu_system_us),
    ];
    let wrong = kinds.into_iter().filter_map(|(what, said, of)| {
        let sum: u64 = done.workers.iter().map(of).sum::<Option<u64>>()?;
        (sum != said).then(|| {
            format!("{what} CPU time: the workers' {sum} µs are {said} in the server's sum")
        })
    });
    wrong.collect()
}

/// Those that were ready are those in the ledger, but for the slots that have had another process since.
fn pid_problem(ready: &Ready, done: &Done) -> Option<String> {
    let ready: BTreeSet<u32> = ready.worker_pids.iter().copied().collect();
    let first = done.workers.iter().filter(|worker| worker.generations == 1);
    let first: BTreeSet<u32> = first.map(|worker| worker.pid).collect();
    let is_replaced = done.workers.iter().any(|worker| worker.generations > 1);
    let is_same = match is_replaced {
        true => first.is_subset(&ready),
        false => first == ready,
    };
    let shown = |pids: &BTreeSet<u32>| {
        let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
        pids.join(", ")
    };
    (!is_same).then(|| {
        let (ready, first) = (shown(&ready), shown(&first));
        format!(
            "its worker processes were {ready} when it was ready, and are {first} in its ledger"
        )
    })
}
