//! What faults made on purpose do to good clients, pool by pool.

use std::time::Duration;

use stress_data::fault::Fault;
use stress_data::matrix::{ClientPool, Operation};
use stress_data::models::{Slowed, slowed, stalled};
use stress_data::run::Run;
use stress_data::size;
use stress_data::summary::Row;

use super::View;
use crate::document::{Block, Cell, Column, Group, Section, Table, TableRow, Text, Topic};
use crate::lang::Lang;
use crate::nine;
use crate::texts::{count, say};

impl View<'_> {
    /// None if no fault was asked for.
    pub(super) fn faults(&self) -> Option<Section> {
        let lang = self.lang;
        let mut blocks = Vec::new();
        for run in self.runs.iter().filter(has_fault) {
            blocks.extend(self.run_heading(run));
            blocks.push(Block::Table(table(&run.rows, lang)));
        }
        let legend = lang.text("faults.legend");
        (!blocks.is_empty()).then(|| {
            blocks.push(Block::paragraph(legend));
            Section::new("faults", lang.text("faults.title"), blocks)
        })
    }

    /// What faults did to good clients, in the words that the models' page has too; none if they did nothing notable.
    pub(super) fn fault_findings(&self) -> Option<Topic> {
        let lang = self.lang;
        let of = |run: &Run| {
            let sentence = |said| match self.runs {
                [_] => Text::plain(said),
                _ => Text::plain(format!("{}: {said}", run.name)),
            };
            let said = sentences(&run.rows, lang).into_iter();
            said.map(sentence).collect::<Vec<_>>()
        };
        let sentences: Vec<Text> = self.runs.iter().filter(has_fault).flat_map(of).collect();
        let title = lang.text("faults.title").into();
        (!sentences.is_empty()).then_some(Topic { title, sentences })
    }
}

fn has_fault(run: &&Run) -> bool {
    run.rows.iter().any(|row| !row.cell.fault.is_none())
}

/// What rows share that are to be compared with each other.
type Key = (Fault, Operation, u64, u32, ClientPool);

const fn key(row: &Row) -> Key {
    let cell = &row.cell;
    (
        cell.fault,
        cell.operation,
        cell.volume,
        cell.clients,
        cell.client_pool,
    )
}

fn table(rows: &[Row], lang: Lang) -> Table {
    let mut groups: Vec<(Key, Vec<&Row>)> = Vec::new();
    for row in rows {
        match groups.iter_mut().find(|(known, _)| *known == key(row)) {
            Some((_, rows)) => rows.push(row),
            None => groups.push((key(row), vec![row])),
        }
    }
    let heads = [
        lang.text("faults.workers"),
        lang.text("faults.rate_together"),
        "p50",
        "p99",
        lang.text("faults.slowest"),
        lang.text("faults.clients_failed"),
        lang.text("faults.memory"),
        lang.text("faults.per_connection"),
        lang.text("faults.lost_in_the_crash"),
    ];
    let first = Column::word(lang.text("faults.server_pool"));
    Table {
        columns: std::iter::once(first)
            .chain(heads.map(Column::number))
            .collect(),
        groups: groups
            .iter()
            .map(|(key, rows)| Group {
                title: Some(title(*key, lang)),
                rows: rows.iter().map(|row| cells(row, lang)).collect(),
            })
            .collect(),
    }
}

fn title((fault, operation, volume, clients, client_pool): Key, lang: Lang) -> String {
    let operation = nine::operation(operation);
    let volume = size::format(volume);
    let good = count!(lang, "faults.good_clients", clients);
    let (fault, pool) = (fault_name(fault, lang), client_pool.as_str());
    format!("{fault}: {operation} {volume}, {good} ({pool})")
}

fn fault_name(fault: Fault, lang: Lang) -> String {
    let clients = fault.clients();
    match fault {
        Fault::None => lang.text("faults.none").into(),
        Fault::KillWorker => lang.text("faults.kill_worker").into(),
        Fault::SilentClient { .. } => count!(lang, "faults.silent_clients", clients),
        Fault::StallClient { .. } => count!(lang, "faults.stalled_clients", clients),
        Fault::SlowClient { bytes_per_s, .. } => {
            let rate = format!("{}/s", size::format(bytes_per_s));
            count!(lang, "faults.slow_clients", clients, rate)
        }
    }
}

fn cells(row: &Row, lang: Lang) -> TableRow {
    let time = |time: Option<Duration>| Cell::maybe(time.map(|time| lang.time(time)));
    let bytes = |bytes: Option<u64>| Cell::maybe(bytes.map(|bytes| lang.bytes(bytes)));
    let failed = row.clients.map(|clients| clients.failed);
    let lost = row.lost_in_crash().map(|(cut, held)| {
        let held = lang.int(held);
        say!(lang, "faults.lost", cut = lang.int(cut), held)
    });
    vec![
        Cell::plain(row.server_pool()),
        Cell::plain(lang.int(row.cell.servers)),
        Cell::maybe(row.aggregate_bytes_per_s.map(|rate| lang.megabytes(rate))),
        time(row.latency_p50),
        time(row.latency_p99),
        time(row.latency_max),
        Cell {
            is_bad: failed.is_some_and(|failed| failed > 0),
            ..Cell::maybe(failed.map(|failed| lang.int(failed)))
        },
        bytes(row.server_memory_bytes),
        bytes(row.memory_per_connection_bytes()),
        Cell::maybe(lost),
    ]
    .into()
}

/// Each fault that made the good clients wait notably longer, and what each crash cost.
fn sentences(rows: &[Row], lang: Lang) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(slowed(rows).iter().map(|slowed| waits_longer(slowed, lang)));
    found.extend(stalled(rows).into_iter().map(|(row, pause, window)| {
        say!(
            lang,
            "faults.stalled",
            fault = fault_name(row.cell.fault, lang),
            pause = lang.time(pause),
            window = lang.time(window),
            workers = workers(row, lang)
        )
    }));
    for row in rows {
        if let Some((cut, held)) = row.lost_in_crash() {
            let cut = lang.int(cut);
            let held = count!(lang, "faults.connections", held);
            let workers = workers(row, lang);
            found.push(say!(lang, "faults.crash_cost", cut, held, workers));
        }
    }
    found
}

fn workers(row: &Row, lang: Lang) -> String {
    let pool = row.server_pool();
    count!(lang, "faults.pool_workers", row.cell.servers, pool)
}

fn waits_longer(slowed: &Slowed<'_>, lang: Lang) -> String {
    let factor = slowed.after.as_secs_f64() / slowed.before.as_secs_f64();
    say!(
        lang,
        "faults.waits_longer",
        fault = fault_name(slowed.row.cell.fault, lang),
        percentile = slowed.percentile,
        after = lang.time(slowed.after),
        before = lang.time(slowed.before),
        times = lang.ratio(factor),
        workers = workers(slowed.row, lang)
    )
}
