//! What is said of several servers that one run measured beside each other: the same sentences on the terminal and in the
//! report.

use std::fmt::Write;

use screen::Screen;
use stress_data::compare::Comparison;
use stress_data::compare::evidence::Mean;
use stress_data::run::Run;
use stress_data::summary::metric::Metric;

use super::lang::Lang;
use super::nine;
use super::texts::{count, say};

/// Each subject of `run` beside the first, by the time of a client.
pub(crate) fn comparisons(run: &Run) -> Vec<Comparison<'_>> {
    let [reference, others @ ..] = run.subjects() else {
        return Vec::new();
    };
    let metric = Metric::TimePerClientS;
    let names = others
        .iter()
        .map(|it| [reference, it].map(|it| it.name.as_str()));
    // Subjects of one run have all combinations in common.
    names
        .filter_map(|names| Comparison::of_subjects(run, names, metric).ok())
        .collect()
}

/// One sentence for each operation, and one for the rows that cannot be compared.
pub(crate) fn sentences(comparison: &Comparison<'_>, lang: Lang) -> Vec<String> {
    let means = comparison.means.iter();
    let of_operations = means.filter(|mean| mean.operation.is_some());
    let mut sentences: Vec<String> = of_operations
        .map(|mean| sentence(mean, comparison, lang))
        .collect();
    let (name, reference) = (&comparison.names.1, &comparison.names.0);
    let left_out = comparison.left_out() as u64;
    if left_out > 0 {
        sentences.push(count!(lang, "subjects.left_out", left_out, name, reference));
    }
    sentences
}

fn sentence(mean: &Mean, comparison: &Comparison<'_>, lang: Lang) -> String {
    let (reference, name) = (&comparison.names.0, &comparison.names.1);
    let operation = mean.operation.map_or("", nine::operation);
    let ratio = lang.ratio(mean.ratio);
    let rows = count!(lang, "subjects.rows", mean.rows as u64);
    let interval = mean.interval.map_or_else(String::new, |it| {
        let (low, high) = (lang.ratio(it.low), lang.ratio(it.high));
        say!(lang, "subjects.between", low, high)
    });
    match (mean.is_sure(), comparison.is_to_the_bad(mean.ratio)) {
        (false, _) => say!(
            lang,
            "subjects.alike",
            operation,
            name,
            reference,
            ratio,
            rows,
            interval
        ),
        (true, true) => say!(
            lang,
            "subjects.slower",
            operation,
            name,
            reference,
            ratio,
            rows,
            interval
        ),
        (true, false) => say!(
            lang,
            "subjects.faster",
            operation,
            name,
            reference,
            ratio,
            rows,
            interval
        ),
    }
}

/// What stands below the table of `run` on a terminal; nothing where there is one server only.
#[must_use]
pub fn text(run: &Run, screen: Screen) -> String {
    let mut out = String::new();
    for comparison in comparisons(run) {
        for sentence in sentences(&comparison, Lang::En) {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{}", screen.wrapped(&sentence));
        }
    }
    out
}
