//! Hostile clients: what each kind comes to under each pool, what a good client meanwhile sees, and whether that is
//! within what is promised.
//!
//! The server runs with limits short enough for the whole table to take a minute; the attackers are as many as
//! the workers, which is what it takes to occupy a pool of blocking ones.

mod attack;
mod good;
pub(crate) mod table;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use stress_data::Unusable;
use stress_data::matrix::ServerPool;
use stress_data::size::counted;

use crate::corpus::workdir::WorkDir;
use crate::rig::Rig;
use crate::rig::own::Own;

use attack::{ATTACKS, Attack, AttackEnd};
use good::GoodClient;

/// The largest upload that the attacked server takes: little, so that an endless one meets it soon.
const UPLOAD_MAX: &str = "4M";
/// What attackers and good clients ask for.
const FILES: [(&str, usize); 2] = [("big.bin", 64 << 20), ("small.bin", 1000)];

/// The server that is attacked.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Its workers; there are as many attackers.
    pub(crate) servers: u32,
    /// Its time for a request's head, and the window of its least rate.
    pub(crate) limit: Duration,
}

/// What one attack on one pool came to.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Finding {
    /// The attack's name.
    attack: &'static str,
    /// What the server's workers were: `process`, `thread` or `event`.
    pool: &'static str,
    /// How many attackers there were.
    attackers: u32,
    /// What became of most of them.
    fate: AttackEnd,
    /// What a good client met meanwhile.
    good: GoodClient,
    /// How long a good client waits at most, as docs/LIMITS.md promises.
    promised_ms: f64,
    /// The server's workers outlived it, and its ledger balances.
    is_unharmed: bool,
}

impl Finding {
    /// What did not hold, if anything.
    pub(crate) fn breach(&self) -> Option<String> {
        let good = &self.good;
        let what = if !self.is_unharmed {
            "the server was harmed".to_owned()
        } else if good.answered < good.asked {
            format!(
                "a good client got no right answer to {} of {}",
                good.asked - good.answered,
                counted(good.asked as u64, "request")
            )
        } else if good.slowest_ms > self.promised_ms {
            format!(
                "a good client waited {:.0} ms, and {:.0} are promised",
                good.slowest_ms, self.promised_ms
            )
        } else {
            return None;
        };
        Some(format!("{}, {} pool: {what}", self.attack, self.pool))
    }
}

/// What held and what did not.
pub(crate) fn verdict(findings: &[Finding]) -> String {
    let breaches: Vec<String> = findings.iter().filter_map(Finding::breach).collect();
    let all = counted(findings.len() as u64, "attack");
    match breaches.len() {
        0 => format!("verdict: held against all of {all}"),
        broken => format!(
            "verdict: held against {} of {all}; did not hold: {}",
            findings.len() - broken,
            breaches.join("; ")
        ),
    }
}

/// The attacks with `only` in their name, or all.
///
/// # Errors
/// [`Unusable`] if there is none.
pub(crate) fn wanted(only: Option<&str>) -> Result<Vec<&'static Attack>, Unusable> {
    let is_wanted = |attack: &&Attack| match only {
        None => true,
        Some(word) => attack.name.contains(word),
    };
    let attacks: Vec<_> = ATTACKS.iter().filter(is_wanted).collect();
    if attacks.is_empty() {
        let names: Vec<_> = ATTACKS.iter().map(|attack| attack.name).collect();
        let message = format!(
            "--only: no attack has that word in its name; there are: {}",
            names.join("; ")
        );
        return Err(Unusable(message));
    }
    Ok(attacks)
}

/// Carries out one attack on one pool.
///
/// # Errors
/// What kept the harness from its work.
pub(crate) fn try_one(
    attack: &'static Attack,
    pool: ServerPool,
    setup: &Setup,
    work: &WorkDir,
    interrupt: &AtomicBool,
) -> Result<Finding> {
    let cell = work.row()?;
    for (name, len) in FILES {
        std::fs::write(cell.root().join(name), content(len))?;
    }
    let arguments = arguments(attack, pool, setup);
    let mut server = Own::launch(&arguments, &cell.root(), &cell.server_log(), interrupt)
        .context("our server cannot be started")?;
    let address = server.address();
    let attackers = attack.crowd.unwrap_or(1) * setup.servers;
    let deadline = attack.deadline(setup.limit);
    let is_over = AtomicBool::new(false);
    let (fates, good) = thread::scope(|scope| {
        let threads: Vec<_> = (0..attackers)
            .map(|_| scope.spawn(move || attack.carry_out(address, deadline)))
            .collect();
        let good = scope.spawn(|| good::meanwhile(address, &is_over));
        let fates: Vec<_> = threads
            .into_iter()
            .map(|thread| thread.join().expect("an attacker does not panic"))
            .collect();
        is_over.store(true, Ordering::SeqCst);
        (fates, good.join().expect("a good client does not panic"))
    });
    let ending = server.stop(interrupt);
    let is_unharmed = ending
        .done
        .is_some_and(|done| done.balanced && done.crashes == 0);
    Ok(Finding {
        attack: attack.name,
        pool: pool.as_str(),
        attackers,
        fate: AttackEnd::of_most(&fates),
        good,
        promised_ms: attack.promised_wait(pool, setup.limit).as_secs_f64() * 1e3,
        is_unharmed,
    })
}

fn content(len: usize) -> Vec<u8> {
    vec![7; len]
}

fn arguments(attack: &Attack, pool: ServerPool, setup: &Setup) -> Vec<String> {
    let limit = format!("{}ms", setup.limit.as_millis());
    let workers = setup.servers.to_string();
    let fixed = [
        ["--bind", "127.0.0.1:0"],
        ["--workers", &workers],
        ["--pool", pool.as_str()],
        ["--durability", "none"],
        ["--min-free", "0"],
        ["--head-timeout", &limit],
        ["--rate-window", &limit],
        ["--min-rate", "16K"],
        ["--upload-max", UPLOAD_MAX],
        ["--log-level", "warn"],
    ];
    let all = fixed.as_flattened().iter().chain(attack.server_flags);
    all.map(|it| (*it).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_schemas_are_what_the_types_say() {
        let what = "stress hostile --json: one line an attack and pool";
        crate::schemas::keep::<Finding>("hostile", what);
    }

    fn finding(asked: usize, slowest_ms: f64, is_unharmed: bool) -> Finding {
        Finding {
            attack: "flood",
            pool: "event",
            attackers: 5,
            fate: AttackEnd::of_most(&[]),
            good: GoodClient {
                asked,
                answered: 3,
                median_ms: 1.0,
                slowest_ms,
            },
            promised_ms: 250.0,
            is_unharmed,
        }
    }

    #[test]
    fn the_verdict_says_what_did_not_hold_and_why() {
        let good = || finding(3, 250.0, true);
        assert_eq!(
            verdict(&[good(), good()]),
            "verdict: held against all of 2 attacks"
        );
        for (bad, why) in [
            (finding(3, 1.0, false), "harmed"),
            (finding(4, 1.0, true), "no right answer to 1 of 4"),
            (
                finding(3, 1604.0, true),
                "waited 1604 ms, and 250 are promised",
            ),
        ] {
            let said = verdict(&[good(), bad]);
            assert!(
                said.contains("held against 1 of 2 attacks; did not hold: flood, event pool: "),
                "{said}"
            );
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn no_line_of_the_table_is_wider_than_the_terminal() {
        let finding = |attack: &Attack, pool: &ServerPool| Finding {
            attack: attack.name,
            pool: pool.as_str(),
            attackers: u32::MAX,
            ..finding(usize::MAX, 1e9, false)
        };
        let of_attack = |attack| {
            let pools = ServerPool::ALL.iter();
            pools.map(move |pool| finding(attack, pool))
        };
        let findings: Vec<Finding> = ATTACKS.iter().flat_map(of_attack).collect();
        testing::check_fits(|screen| table::render(&findings, screen));
        let markdown = table::markdown(&findings);
        assert_eq!(
            markdown.matches("\n| ").count(),
            ATTACKS.len(),
            "{markdown}"
        );
    }
}
