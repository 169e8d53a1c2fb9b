//! What faults made on purpose do to good clients, pool by pool.

use std::time::Duration;

use stress_data::fault::Fault;
use stress_data::matrix::{ClientPool, Operation};
use stress_data::run::Run;
use stress_data::size;
use stress_data::summary::Row;

use super::View;
use crate::document::{Block, Cell, Column, Group, Section, Table, TableRow, Text};
use crate::lang::Lang;
use crate::nine;
use crate::texts::{count, say};

/// So many times the latency without a fault is said in words.
const NOTABLE_FACTOR: f64 = 3.0;

impl View<'_> {
    /// None if no fault was asked for.
    pub(super) fn faults(&self) -> Option<Section> {
        let lang = self.lang;
        let has_fault = |run: &&Run| run.rows.iter().any(|row| !row.cell.fault.is_none());
        let mut blocks = Vec::new();
        for run in self.runs.iter().filter(has_fault) {
            if self.runs.len() > 1 {
                blocks.push(Block::heading(&run.name));
            }
            let sentences = sentences(&run.rows, lang);
            if !sentences.is_empty() {
                blocks.push(Block::bullets(
                    sentences.into_iter().map(Text::plain).collect(),
                ));
            }
            blocks.push(Block::Table(table(&run.rows, lang)));
        }
        let legend = lang.text("faults.legend");
        (!blocks.is_empty()).then(|| {
            blocks.push(Block::paragraph(legend));
            Section {
                id: "faults",
                title: lang.text("faults.title").into(),
                blocks,
            }
        })
    }
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
    let time =
        |time: Option<Duration>| Cell::plain(time.map(|time| lang.time(time)).unwrap_or_default());
    let bytes =
        |bytes: Option<u64>| Cell::plain(bytes.map(|bytes| lang.bytes(bytes)).unwrap_or_default());
    let failed = row.clients.map(|clients| clients.failed);
    let cut = row
        .connections_cut
        .filter(|_| row.cell.fault == Fault::KillWorker);
    let lost = cut.map(|cut| {
        let held = lang.int(row.held_at_once());
        say!(lang, "faults.lost", cut = lang.int(cut), held)
    });
    TableRow {
        cells: vec![
            Cell::plain(pool(row)),
            Cell::plain(lang.int(row.cell.servers)),
            Cell::plain(
                row.aggregate_bytes_per_s
                    .map(|rate| lang.megabytes(rate))
                    .unwrap_or_default(),
            ),
            time(row.latency_p50),
            time(row.latency_p99),
            time(row.latency_max),
            Cell {
                is_bad: failed.is_some_and(|failed| failed > 0),
                ..Cell::plain(failed.map(|failed| lang.int(failed)).unwrap_or_default())
            },
            bytes(row.server_memory_bytes),
            bytes(row.memory_per_connection_bytes),
            Cell::plain(lost.unwrap_or_default()),
        ],
        trouble: None,
    }
}

const fn pool(row: &Row) -> &'static str {
    match row.is_own_server {
        true => row.cell.server_pool.as_str(),
        false => "",
    }
}

/// Each fault that made the good clients wait notably longer, and what each crash cost.
fn sentences(rows: &[Row], lang: Lang) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| row.cell.fault.clients() > 0) {
        found.extend(waits_longer(row, rows, lang));
    }
    for row in rows
        .iter()
        .filter(|row| row.cell.fault == Fault::KillWorker)
    {
        let Some(cut) = row.connections_cut else {
            continue;
        };
        let cut = lang.int(cut);
        let held = count!(lang, "faults.connections", row.held_at_once());
        let workers = workers(row, lang);
        found.push(say!(lang, "faults.crash_cost", cut, held, workers));
    }
    found
}

fn workers(row: &Row, lang: Lang) -> String {
    let pool = pool(row);
    count!(lang, "faults.pool_workers", row.cell.servers, pool)
}

fn waits_longer(row: &Row, rows: &[Row], lang: Lang) -> Option<String> {
    let twin = |other: &&Row| {
        let plain = (
            Fault::None,
            row.cell.operation,
            row.cell.volume,
            row.cell.clients,
            row.cell.client_pool,
        );
        let server = |row: &Row| (row.cell.server_pool, row.cell.servers);
        key(other) == plain && server(other) == server(row)
    };
    let before = rows.iter().find(twin)?.latency_p50?;
    let after = row.latency_p50?;
    let factor = after.as_secs_f64() / before.as_secs_f64();
    let fault = fault_name(row.cell.fault, lang);
    let workers = workers(row, lang);
    let (before, after, times) = (lang.time(before), lang.time(after), lang.ratio(factor));
    (factor >= NOTABLE_FACTOR).then(|| {
        say!(
            lang,
            "faults.waits_longer",
            fault,
            after,
            before,
            times,
            workers
        )
    })
}
