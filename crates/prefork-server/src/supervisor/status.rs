//! The status, for the admin socket. Everything is looked up when asked for: the ledger and the
//! roster for what the parent knows, the scoreboard for what workers count, /proc for what they use.

use std::collections::HashMap;
use std::net::SocketAddr;

use nix::unistd::Pid;
use proto::announce::Counts;
use proto::status::{Process, ProcessState, Server, ServerState, Status, Sum, Worker};

use super::members::Member;
use super::{Supervisor, announce, upgrade};
use crate::operator::backlog;
use crate::operator::logger;
use crate::operator::usage::{self, Usage};
use crate::shared::encoded_cache::EncodedCache;
use crate::shared::report::ProcessId;
use crate::shared::scoreboard::{Field, Slot};
use crate::supervisor::ledger::{self, micros};

impl Supervisor {
    /// Answers what is asked, without waiting.
    pub(super) fn serve_admin(&mut self) {
        let mut admin = std::mem::take(&mut self.admin);
        let metrics = admin.metrics_address();
        admin.serve(|| self.status(metrics));
        self.admin = admin;
    }

    fn status(&self, metrics: Option<SocketAddr>) -> Status {
        let states: HashMap<ProcessId, ProcessState> = self.roster.processes().collect();
        let mut members: Vec<(&Member, Option<Usage>)> = self
            .members
            .iter()
            .map(|member| (member, usage::of(raw(member.pid))))
            .collect();
        members.sort_unstable_by_key(|(member, _)| member.id);
        let processes: Vec<Process> = members
            .iter()
            .map(|(member, usage)| self.process(member, *usage, &states))
            .collect();
        let workers = self.workers(&members, &processes);
        Status {
            server: self.server(),
            listener: backlog::look(self.inheritance.listener.socket()),
            sum: self.sum(&workers, &processes),
            workers,
            processes,
            settings: announce::settings(&self.inheritance, &self.facts, metrics),
        }
    }

    fn server(&self) -> Server {
        let address = self.inheritance.listener.socket().local_addr();
        Server {
            address: address.map_or_else(
                |_| self.inheritance.config.bind.clone(),
                |it| it.to_string(),
            ),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pool: self.inheritance.config.pool.as_str().to_owned(),
            workers_wanted: self.inheritance.config.workers,
            state: self.state(),
            uptime_ms: announce::millis(self.started.elapsed()),
            log_lines_lost: logger::lost_lines(),
            predecessor_pid: self.predecessor_pid().map(raw),
            successor_pid: self.successor_pid().map(raw),
            files_unlisted: self.inheritance.service.store.files_unlisted(),
            cached_bytes: self.inheritance.cache.as_ref().map(EncodedCache::bytes),
        }
    }

    fn state(&self) -> ServerState {
        let is_handing_over = self
            .stop
            .is_some_and(|(_, reason)| reason == upgrade::HANDED_OVER);
        if self.roster.is_cutting() {
            ServerState::Stopping
        } else if is_handing_over {
            ServerState::HandingOver
        } else if self.roster.is_stopping() {
            ServerState::Draining
        } else if self.announced.is_none() {
            ServerState::Starting
        } else if self.roster.is_rolling() {
            ServerState::Reloading
        } else {
            ServerState::Running
        }
    }

    fn process(
        &self,
        member: &Member,
        usage: Option<Usage>,
        states: &HashMap<ProcessId, ProcessState>,
    ) -> Process {
        let slots = || member.assignment.slots(&self.inheritance.scoreboard);
        let in_flight = |of: fn(Slot) -> u64| {
            // Each is what one worker wrote: the sum may be nonsense, but not an overflow.
            slots().map(|(_, slot)| of(slot)).fold(0, u64::wrapping_add)
        };
        Process {
            seat: member.id.seat,
            generation: member.id.generation,
            pid: raw(member.pid),
            state: states
                .get(&member.id)
                .copied()
                .unwrap_or(ProcessState::Starting),
            workers: u32::try_from(member.assignment.workers.len()).unwrap_or(u32::MAX),
            connections_in_flight: in_flight(|it| it.counts_while_running().connections.in_flight),
            requests_in_flight: in_flight(|it| it.counts_while_running().requests.in_flight),
            cpu_user_us: usage.map(|usage| micros(usage.cpu_user)),
            cpu_system_us: usage.map(|usage| micros(usage.cpu_system)),
            rss_bytes: usage.map(|usage| usage.rss_bytes),
            peak_rss_bytes: usage.and_then(|usage| usage.peak_rss_bytes),
        }
    }

    fn workers(&self, members: &[(&Member, Option<Usage>)], processes: &[Process]) -> Vec<Worker> {
        let own_process = self.inheritance.config.pool.is_a_process_each();
        let living = members.iter().map(|(member, _)| &member.assignment);
        let mut workers: Vec<Worker> = self
            .ledger
            .workers(living)
            .into_iter()
            .map(|ledger| Worker {
                is_busy: ledger.counts.connections.in_flight > 0,
                connections_set_aside: 0,
                ledger,
                state: None,
                rss_bytes: None,
            })
            .collect();
        let slots = members
            .iter()
            .flat_map(|(member, _)| member.assignment.slots(&self.inheritance.scoreboard));
        for (index, slot) in slots {
            if let Some(worker) = workers.get_mut(index as usize) {
                let set_aside = &mut worker.connections_set_aside;
                *set_aside = set_aside.wrapping_add(slot.get(Field::SetAside));
                worker.is_busy = worker.ledger.counts.connections.in_flight > *set_aside;
            }
        }
        // In the order of the generations, so that the youngest has the last word.
        for ((member, _), process) in members.iter().zip(processes) {
            for index in member.assignment.workers.clone() {
                let Some(worker) = workers.get_mut(index as usize) else {
                    continue;
                };
                worker.state = Some(process.state);
                if own_process {
                    let ledger = &mut worker.ledger;
                    plus(&mut ledger.cpu_user_us, process.cpu_user_us);
                    plus(&mut ledger.cpu_system_us, process.cpu_system_us);
                    ledger.peak_rss_bytes = ledger.peak_rss_bytes.max(process.peak_rss_bytes);
                    worker.rss_bytes = process.rss_bytes;
                }
            }
        }
        workers
    }

    fn sum(&self, workers: &[Worker], processes: &[Process]) -> Sum {
        let ledgers: Vec<_> = workers.iter().map(|worker| worker.ledger.clone()).collect();
        let counts = ledger::sum(&ledgers);
        let (booked_user_us, booked_system_us) = self.ledger.cpu_us();
        let total = |of: fn(&Process) -> Option<u64>| processes.iter().filter_map(of).sum::<u64>();
        let peak = processes.iter().filter_map(|it| it.peak_rss_bytes).max();
        let every = |is_so: fn(&Counts) -> bool| {
            ledgers.iter().all(|it| is_so(&it.counts)) && is_so(&counts)
        };
        Sum {
            connections_balanced: every(|it| it.connections.is_balanced()),
            requests_balanced: every(|it| it.requests.is_balanced()),
            crashes: self.ledger.crashes(),
            restarts: self.ledger.restarts(),
            limits_hit: self.shortages.hits(),
            cpu_user_us: booked_user_us + total(|it| it.cpu_user_us),
            cpu_system_us: booked_system_us + total(|it| it.cpu_system_us),
            rss_bytes: total(|it| it.rss_bytes),
            peak_rss_bytes: self.ledger.peak_rss_bytes().max(peak),
            counts,
        }
    }
}

fn plus(sum: &mut Option<u64>, one: Option<u64>) {
    *sum = match (*sum, one) {
        (Some(sum), Some(one)) => Some(sum + one),
        (sum, one) => sum.or(one),
    };
}

fn raw(pid: Pid) -> u32 {
    pid.as_raw().unsigned_abs()
}
