//! A status for people: a few sentences, then a row for each worker.

use proto::announce::Counts;
use proto::status::{Process, ProcessState, Status, Worker};
use screen::{Column, Screen, Shown, Table, counted};

use super::head::head;
use super::units::{bytes, seconds};

/// In which order workers are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// That of the slots.
    Slots,
    /// What there may be no room for is idle.
    BusyFirst,
}

/// A status in lines.
pub struct Page {
    head: Vec<String>,
    table: Shown,
    tail: Vec<String>,
}

impl Page {
    /// The page of `status` for `screen`.
    #[must_use]
    pub fn new(status: &Status, order: Order, screen: Screen) -> Self {
        let mut sentences = String::new();
        // Writing to a string cannot fail.
        let _ = head(&mut sentences, status);
        let wrapped = |lines: &str| -> Vec<String> {
            let lines = lines.lines().map(|line| screen.wrapped(line));
            let lines: Vec<String> = lines.collect();
            lines.join("\n").lines().map(str::to_owned).collect()
        };
        let mut head = wrapped(&sentences);
        head.push(String::new());
        let mut workers: Vec<&Worker> = status.workers.iter().collect();
        if order == Order::BusyFirst {
            workers.sort_by_key(|worker| rank(worker));
        }
        let mut table = table();
        for worker in workers {
            table.row(row(worker));
        }
        let tail: Vec<String> = leaving_or_coming(status).collect();
        Self {
            head,
            table: table.shown(screen),
            tail: wrapped(&tail.join("\n")),
        }
    }

    /// All of it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for line in self.heads().chain(self.rest()).chain(&self.table.foot) {
            text += line;
            text.push('\n');
        }
        text
    }

    /// What of it fits into so many rows: the heads, then as much as there is room for.
    pub fn within(&self, rows: usize) -> Vec<String> {
        let rest = self.rest().count();
        let lines = self.heads().chain(self.rest());
        if self.heads().count() + rest + self.table.foot.len() <= rows {
            return lines.chain(&self.table.foot).cloned().collect();
        }
        let mut shown: Vec<String> = lines.take(rows.saturating_sub(1)).cloned().collect();
        let more = rest.saturating_sub(shown.len().saturating_sub(self.heads().count()));
        shown.push(format!(
            "… and {}; without --watch all are shown",
            counted(more as u64, "more line")
        ));
        shown
    }

    fn heads(&self) -> impl Iterator<Item = &String> {
        self.head.iter().chain(&self.table.head)
    }

    fn rest(&self) -> impl Iterator<Item = &String> {
        self.table.body.iter().chain(&self.tail)
    }
}

/// A row for each worker. What the sentences above tell, too, goes first where there is no room for all.
fn table() -> Table {
    let number = Column::number;
    Table::new([
        number("slot"),
        number("pid"),
        number("gen").spare(5),
        Column::text("state"),
        number("conns"),
        number("open"),
        number("ok"),
        number("errors"),
        number("cut").spare(2),
        number("bytes"),
        number("crashes").spare(3),
        number("cpu").spare(1),
        number("memory"),
        number("peak").spare(4),
    ])
}

/// The lower, the more there is to see.
fn rank(worker: &Worker) -> u8 {
    match worker.state {
        Some(ProcessState::Serving) if worker.is_busy => 0,
        Some(ProcessState::Starting | ProcessState::Retiring) => 1,
        Some(ProcessState::Serving) => 2,
        None => 3,
    }
}

fn row(worker: &Worker) -> [String; 14] {
    let ledger = &worker.ledger;
    let Counts {
        connections,
        requests,
    } = &ledger.counts;
    let state = match worker.state {
        None => "gone",
        Some(ProcessState::Serving) if worker.is_busy => "busy",
        Some(ProcessState::Serving) => "idle",
        Some(other) => other.as_str(),
    };
    // A request that was cut went with one of them.
    let cut = connections
        .aborted_by_stop
        .wrapping_add(connections.aborted_by_crash);
    let cpu = ledger
        .cpu_user_us
        .zip(ledger.cpu_system_us)
        .map(|(user, system)| seconds(user.wrapping_add(system)));
    let memory = worker.rss_bytes.map(bytes);
    // Of one that is gone it is no news.
    let peak = worker.rss_bytes.and(ledger.peak_rss_bytes).map(bytes);
    [
        ledger.slot.to_string(),
        ledger.pid.to_string(),
        ledger.generations.to_string(),
        state.to_owned(),
        connections.accepted.to_string(),
        connections.in_flight.to_string(),
        requests.ok.total().to_string(),
        requests.errors.total().to_string(),
        cut.to_string(),
        bytes(requests.ok_bytes.total()),
        ledger.crashes.to_string(),
        cpu.unwrap_or_default(),
        memory.unwrap_or_default(),
        peak.unwrap_or_default(),
    ]
}

/// Processes of which the rows do not tell, or not all.
fn leaving_or_coming(status: &Status) -> impl Iterator<Item = String> {
    let is_apart = |it: &&Process| it.state != ProcessState::Serving;
    status.processes.iter().filter(is_apart).map(|process| {
        format!(
            "{}: pid {}, seat {}, generation {}, {} in hand",
            process.state.as_str(),
            process.pid,
            process.seat,
            process.generation,
            counted(process.connections_in_flight, "connection"),
        )
    })
}

#[cfg(test)]
mod tests;
