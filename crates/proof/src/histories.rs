//! What clients did with files that all share, as one register's history for each file: soaks with small files, so that
//! there is much of it, until there is enough for each pool. The soak itself looks for the order.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::keep::{Keeper, Tally};

/// Answers about shared files that a pool's soaks have to come to.
const ENOUGH: u64 = 100_000;

/// The soaks of a pool, each with its seed, are no more than that.
const SOAKS_MAX: u32 = 30;

/// What a soak says as JSON, as far as it matters here.
#[derive(Deserialize)]
struct Verdict {
    operations: u64,
    shared_operations: u64,
    kills: u64,
    promises: Vec<Promise>,
}

#[derive(Deserialize)]
struct Promise {
    holds: bool,
    what: String,
    found: String,
}

pub(crate) fn run(mut keeper: Keeper, smoke: bool) -> Result<u64> {
    let stress = std::env::current_exe()?.with_file_name("stress");
    if !stress.exists() {
        bail!(
            "no {}: build it, cargo build --bin stress",
            stress.display()
        );
    }
    let (time, enough) = if smoke { ("2s", 1) } else { ("30s", ENOUGH) };
    for pool in ["process", "thread", "event"] {
        for seed in 1..=SOAKS_MAX {
            if keeper.sum(pool, SHARED) >= enough {
                break;
            }
            let mut outcome = Ok(());
            keeper.part(&format!("{pool}, seed {seed}"), |tally| {
                outcome = soak(&stress, pool, seed, time, tally);
            })?;
            outcome?;
        }
    }
    Ok(keeper.finish())
}

const SHARED: &str = "answers about shared files";

fn soak(stress: &Path, pool: &str, seed: u32, time: &str, tally: &mut Tally) -> Result<()> {
    let work = tempfile::tempdir()?;
    let output = Command::new(stress)
        .args(["soak", "--json", "--clients", "12", "--size", "16K"])
        .args(["--time", time, "--server-pool", pool])
        .args(["--seed", &seed.to_string()])
        .arg("--work-dir")
        .arg(work.path())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", stress.display()))?;
    let verdict: Verdict = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("a soak that ended with {}", output.status))?;
    tally.count("operations", verdict.operations);
    tally.count(SHARED, verdict.shared_operations);
    tally.count("kills", verdict.kills);
    for promise in verdict.promises.iter().filter(|promise| !promise.holds) {
        tally.violation(|| format!("{}: {}", promise.what, promise.found));
    }
    Ok(())
}
