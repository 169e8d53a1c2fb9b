//! `stress compare --json`.

use serde::Serialize;
use serde_json::{Number, Value};
use stress_data::compare::Comparison;
use stress_data::compare::evidence::Mean;
use stress_data::compare::verdict::{Change, Verdict};
use stress_data::matrix::{ClientPool, Operation};
use stress_data::measurement::Status;
use stress_data::summary::Row;
use stress_data::summary::metric::Metric;

/// What became of the rows of a run in another.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ComparisonJson<'a> {
    /// The run that is compared with, or the subject.
    old: &'a str,
    /// The run that is compared, or the subject.
    new: &'a str,
    /// Whether both are subjects of one run, which were measured in turns: one of them is better or worse.
    is_one_run: bool,
    /// The figure, a column of summary.csv.
    metric: Metric,
    /// In what the runs differ as a whole.
    compared: Vec<DifferenceJson<'a>>,
    /// What else differs: settings, machine, program.
    conditions: Vec<DifferenceJson<'a>>,
    /// The rows that both have.
    rows: Vec<RowJson>,
    /// The numbers of rows that only the old run has.
    only_old: Vec<u32>,
    /// The numbers of rows that only the new run has.
    only_new: Vec<u32>,
    /// The geometric means of all rows and of each operation.
    means: Vec<MeanJson>,
    /// How many rows and means are worse by more than chance gives.
    regressions: usize,
    /// Whether there is any: exit 4.
    is_worse: bool,
}

/// Something that differs.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct DifferenceJson<'a> {
    /// Its name.
    name: &'a str,
    /// In the old run.
    old: &'a str,
    /// In the new one.
    new: &'a str,
}

/// One row in both runs.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RowJson {
    /// What each client did.
    operation: Operation,
    /// The size of each client's file.
    volume_bytes: u64,
    /// The size of the client pool.
    client_workers: u32,
    /// The size of the server's pool.
    server_workers: u32,
    /// What the clients were.
    client_pool: ClientPool,
    /// What the server's workers were; null for a foreign server.
    server_pool: Option<&'static str>,
    /// In the old run.
    old: SideJson,
    /// In the new one.
    new: SideJson,
    /// New over old less one; null where one of them has no sample that is ok.
    change: Option<f64>,
    /// The interval's lower end; null where there is none, as of one sample.
    change_low: Option<f64>,
    /// Its upper end.
    change_high: Option<f64>,
    /// How sure the interval is: 0.95 or what the samples allow.
    confidence: Option<f64>,
    /// What is to be made of it.
    verdict: Verdict,
}

/// A row in one run.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SideJson {
    /// Its number there.
    no: u32,
    /// How it ended.
    status: Status,
    /// Samples that are ok.
    samples_ok: usize,
    /// Their median, in the column's unit.
    median: Option<Number>,
}

/// A geometric mean of the rows' ratios.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct MeanJson {
    /// Of the rows of this operation; null: of all.
    operation: Option<Operation>,
    /// How many those are.
    rows: usize,
    /// The mean less one.
    change: f64,
    /// The interval's lower end.
    change_low: Option<f64>,
    /// Its upper end.
    change_high: Option<f64>,
    /// How often random exchanges of the two sides give as much.
    p: f64,
    /// More than chance gives, at 5 % for all means together.
    is_more_than_chance: bool,
}

/// For a program: the same as the table, and the ratios with all their digits.
#[must_use]
pub fn json(comparison: &Comparison<'_>) -> Value {
    let numbers = |rows: &[&Row]| rows.iter().map(|row| row.cell.number).collect();
    let (old, new) = &comparison.names;
    let compared = comparison.matching.differences.iter();
    let conditions = comparison.conditions.iter();
    let whole = ComparisonJson {
        old,
        new,
        is_one_run: comparison.is_one_run,
        metric: comparison.metric,
        compared: compared
            .map(|it| difference(it.axis, &it.old, &it.new))
            .collect(),
        conditions: conditions
            .map(|(name, old, new)| difference(name, old, new))
            .collect(),
        rows: comparison
            .changes
            .iter()
            .map(|it| row(it, comparison.metric))
            .collect(),
        only_old: numbers(&comparison.matching.only_old),
        only_new: numbers(&comparison.matching.only_new),
        means: comparison.means.iter().map(mean).collect(),
        regressions: comparison.regressions(),
        is_worse: comparison.is_worse(),
    };
    // Numbers and strings: that cannot fail.
    serde_json::to_value(whole).unwrap_or_default()
}

fn difference<'a>(name: &'a str, old: &'a str, new: &'a str) -> DifferenceJson<'a> {
    DifferenceJson { name, old, new }
}

fn mean(mean: &Mean) -> MeanJson {
    MeanJson {
        operation: mean.operation,
        rows: mean.rows,
        change: mean.ratio - 1.0,
        change_low: mean.interval.map(|interval| interval.low - 1.0),
        change_high: mean.interval.map(|interval| interval.high - 1.0),
        p: mean.p,
        is_more_than_chance: mean.is_sure(),
    }
}

fn row(change: &Change<'_>, metric: Metric) -> RowJson {
    let number = |value: u64| match metric.is_time() {
        true => Number::from_f64(value as f64 / 1e9),
        false => Some(value.into()),
    };
    let side = |row: &Row, median: Option<u64>, samples_ok| SideJson {
        no: row.cell.number,
        status: row.status,
        samples_ok,
        median: median.and_then(number),
    };
    let interval = change.shift.and_then(|shift| shift.interval);
    let cell = &change.new.cell;
    RowJson {
        operation: cell.operation,
        volume_bytes: cell.volume,
        client_workers: cell.clients,
        server_workers: cell.servers,
        client_pool: cell.client_pool,
        server_pool: Some(change.new.server_pool()).filter(|pool| !pool.is_empty()),
        old: side(change.old, change.medians.0, change.lens.0),
        new: side(change.new, change.medians.1, change.lens.1),
        change: change.shift.map(|shift| shift.ratio - 1.0),
        change_low: interval.map(|interval| interval.low - 1.0),
        change_high: interval.map(|interval| interval.high - 1.0),
        confidence: interval.map(|interval| interval.confidence),
        verdict: change.verdict,
    }
}
