//! A recheck as a table for people, and as JSON for programs.

use screen::{Column, Screen, Table};
use serde::Serialize;
use serde_json::Value;
use stress_data::matrix::Operation;
use stress_data::recheck::ratios::{Ratios, Row, Verdict};
use stress_data::size;
use stress_data::summary::csv::format_seconds;

/// What came of measuring some rows of a run again.
#[derive(Debug)]
pub struct Recheck {
    /// The name of the run.
    pub run: String,
    /// The name of the run that measured it again.
    pub measured: String,
    /// The ratios between the rows, then and now.
    pub ratios: Ratios,
    /// How far a row's factor may be from the common one.
    pub within: f64,
    /// What the choice of rows came from.
    pub seed: u64,
    /// Whether this machine is, by its description, that of the run.
    pub is_same_machine: bool,
}

impl Recheck {
    /// For a person.
    #[must_use]
    pub fn text(&self, screen: Screen) -> String {
        let rows = size::counted(self.ratios.rows.len() as u64, "row");
        let mut out = screen.wrapped(&format!(
            "{rows} of {}, chosen with --seed {}; measured again as {}",
            self.run, self.seed, self.measured
        ));
        out += &format!("\n\n{}\n", self.table().render(screen));
        if let Some(common) = self.ratios.common {
            let machine = match self.is_same_machine {
                true => "By its description this is the machine of the run",
                false => "This is another machine than the run's",
            };
            out += &screen.wrapped(&format!(
                "Common factor {common:.2}: the rows took so many times as long here. {machine}."
            ));
            out.push('\n');
        }
        let (holding, all) = self.ratios.pair_counts();
        let verdict = match (self.ratios.failed_len(), self.ratios.holds()) {
            (1.., _) => "A row that was ok in the run is not ok here.",
            (0, true) => "The run's ratios hold.",
            (0, false) => "The run's ratios do NOT hold.",
        };
        let (one, many) = ("ratio between the rows is", "ratios between the rows are");
        let all = size::counted_as(all as u64, one, many);
        out += &screen.wrapped(&format!(
            "{holding} of {all} within a factor of {}. {verdict}",
            self.within
        ));
        out + "\n"
    }

    fn table(&self) -> Table {
        let time = |ns: Option<u64>| {
            let time = ns.map(std::time::Duration::from_nanos);
            time.map_or_else(|| "-".into(), |time| format_seconds(time, 4))
        };
        let factor =
            |factor: Option<f64>| factor.map_or_else(|| "-".into(), |it| format!("{it:.2}"));
        let number = Column::number;
        let mut table = Table::new([
            number("no"),
            Column::text("operation"),
            number("volume").spare(1),
            number("clients"),
            number("servers"),
            number("then, s"),
            number("now, s"),
            number("factor"),
            number("common").under("of the"),
            Column::text("verdict"),
        ]);
        for row in &self.ratios.rows {
            let cell = &row.pair.cell;
            table.row([
                cell.number.to_string(),
                cell.operation.as_str().to_owned(),
                size::format(cell.volume),
                cell.clients.to_string(),
                cell.servers.to_string(),
                time(row.then_ns),
                time(row.now_ns),
                factor(row.factor),
                factor(row.relative),
                row.verdict.as_str().to_owned(),
            ]);
        }
        table
    }

    /// For a program.
    #[must_use]
    pub fn json(&self) -> Value {
        let (ratios_holding, ratios) = self.ratios.pair_counts();
        let whole = RecheckJson {
            run: &self.run,
            measured: &self.measured,
            seed: self.seed,
            within: self.within,
            is_same_machine: self.is_same_machine,
            common_factor: self.ratios.common,
            ratios,
            ratios_holding,
            holds: self.ratios.holds(),
            rows: self.ratios.rows.iter().map(RowJson::of).collect(),
        };
        // Numbers and strings: that cannot fail.
        serde_json::to_value(whole).unwrap_or_default()
    }
}

/// `stress recheck --json`.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RecheckJson<'a> {
    /// The name of the run.
    run: &'a str,
    /// The name of the run that measured some of its rows again.
    measured: &'a str,
    /// What the choice of rows came from.
    seed: u64,
    /// How far a row's factor may be from the common one.
    within: f64,
    /// Whether this machine is, by its description, that of the run.
    is_same_machine: bool,
    /// The median of all factors, by which the machines differ; null if all rows failed.
    common_factor: Option<f64>,
    /// Pairs of rows.
    ratios: usize,
    /// Those of them whose ratio is what it was, within the same factor.
    ratios_holding: usize,
    /// Every row holds.
    holds: bool,
    /// Each row.
    rows: Vec<RowJson>,
}

/// One row, then and now.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RowJson {
    /// Its number.
    no: u32,
    /// What each client did.
    operation: Operation,
    /// The median time per client in the run.
    then_s: Option<f64>,
    /// The same now.
    now_s: Option<f64>,
    /// Now over then; null if it failed.
    factor: Option<f64>,
    /// That over the common factor.
    of_common: Option<f64>,
    /// What that comes to.
    verdict: Verdict,
}

impl RowJson {
    fn of(row: &Row) -> Self {
        let seconds = |ns: Option<u64>| ns.map(|ns| ns as f64 / 1e9);
        let cell = &row.pair.cell;
        Self {
            no: cell.number,
            operation: cell.operation,
            then_s: seconds(row.then_ns),
            now_s: seconds(row.now_ns),
            factor: row.factor,
            of_common: row.relative,
            verdict: row.verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schemas_are_what_the_types_say() {
        crate::schemas::keep::<super::RecheckJson<'_>>("recheck", "stress recheck --json");
    }

    use stress_data::matrix::{Plan, Selection};
    use stress_data::recheck::ratios::Pair;
    use stress_data::testing;

    use super::*;

    /// Cells that took these milliseconds then and now.
    fn judged(times_ms: &[(&[u64], &[u64])], within: f64) -> Ratios {
        let ns = |times: &[u64]| times.iter().map(|ms| ms * 1_000_000).collect();
        let cells = Plan::new(&Selection::default()).cells.into_iter();
        let pairs = cells.zip(times_ms).map(|(cell, (then, now))| Pair {
            cell,
            then_ns: ns(then),
            now_ns: ns(now),
        });
        Ratios::of(pairs.collect(), within)
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let recheck = Recheck {
            run: "a-run".repeat(50),
            measured: "another".into(),
            ratios: judged(&[(&[1], &[18_446_744_073_709]), (&[1 << 40], &[1])], 1.2),
            within: 1.2,
            seed: u64::MAX,
            is_same_machine: false,
        };
        testing::check_fits(|screen| recheck.text(screen));
    }

    #[test]
    fn the_words_say_whether_the_ratios_hold() {
        let check = |times: &[(&[u64], &[u64])], holds: bool, words: &str| {
            let recheck = Recheck {
                run: "a".into(),
                measured: "b-recheck".into(),
                ratios: judged(times, 2.0),
                within: 2.0,
                seed: 1,
                is_same_machine: false,
            };
            let text = recheck.text(Screen::FILE);
            assert!(text.contains(words), "{text}");
            assert_eq!(recheck.json()["holds"], holds);
        };
        check(
            &[(&[10], &[20]), (&[20], &[40])],
            true,
            "1 of 1 ratio between the rows is within a factor of 2. The run's ratios hold.",
        );
        check(
            &[(&[10], &[20]), (&[20], &[40]), (&[10], &[900])],
            false,
            "do NOT hold",
        );
        check(&[(&[10], &[]), (&[20], &[40])], false, "is not ok here");
    }
}
