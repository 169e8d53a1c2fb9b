//! What one axis does, all others being equal: ratios of rows that differ in nothing else.

use std::mem::replace;

use stress_data::compare::evidence::{Mean, Sampled};
use stress_data::journal::Contents;
use stress_data::matrix::Operation;
use stress_data::measurement::Status;
use stress_data::summary::Row;
use stress_data::summary::metric::Metric;

use super::{Findings, VARIANTS_MAX, and};
use crate::lang::Lang;
use crate::nine;
use crate::subjects;
use crate::texts::{count, say};
use crate::variants::{Place, Variant};

/// Ratios of pairs of rows.
struct Effect {
    /// Their geometric mean: the one mean of which the inverse is that of the inverses.
    mean: f64,
    min: f64,
    max: f64,
    pairs: usize,
    /// Whether it is more than chance gives, by the pairs' samples.
    is_sure: bool,
}

/// A figure that rows are compared by: of a row, and of each of its samples.
#[derive(Clone, Copy)]
struct Figure {
    of: fn(&Row) -> Option<u64>,
    metric: Metric,
}

const TIME: Figure = Figure {
    of: |row| row.time_ns.map(|time| time.median),
    metric: Metric::TimePerClientS,
};

const TOGETHER: Figure = Figure {
    of: |row| row.aggregate_bytes_per_s,
    metric: Metric::AggregateBytesPerS,
};

/// Two rows, each with what its run recorded.
type Pair<'a> = [(&'a Contents, &'a Row); 2];

impl Effect {
    fn of(pairs: &[Pair<'_>], figure: Figure) -> Option<Self> {
        let ratio = |[(_, from), (_, to)]: &Pair<'_>| {
            let (from, to) = ((figure.of)(from)? as f64, (figure.of)(to)? as f64);
            (from > 0.0 && to > 0.0).then_some(to / from)
        };
        let ratios: Vec<f64> = pairs.iter().filter_map(ratio).collect();
        if ratios.is_empty() {
            return None;
        }
        let logs: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
        let sampled = |pair: &Pair<'_>| {
            let [from, to] =
                pair.map(|(contents, row)| figure.metric.by_repeat(contents, row.cell.number));
            Sampled::new(pair[1].1, &from, &to)
        };
        let sampled: Vec<Sampled> = pairs.iter().map(sampled).collect();
        Some(Self {
            mean: (logs / ratios.len() as f64).exp(),
            min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            max: ratios.iter().copied().fold(0.0, f64::max),
            pairs: ratios.len(),
            is_sure: Mean::of(&sampled).is_some_and(|mean| mean.is_sure()),
        })
    }

    /// `31.2 times (geometric mean of 9 pairs of rows, 18.4 to 52.0)`, without the `times`.
    fn text(&self, lang: Lang) -> (String, String) {
        let mean = lang.ratio(self.mean);
        let (min, max) = (lang.ratio(self.min), lang.ratio(self.max));
        let from = count!(lang, "findings.pairs_of_rows", self.pairs as u64, min, max);
        (mean, from)
    }

    /// `; chance is not ruled out`, if it is not.
    fn chance_of(&self, lang: Lang) -> &'static str {
        match self.is_sure {
            true => "",
            false => lang.text("findings.chance_of"),
        }
    }

    /// The same as a sentence.
    fn chance(&self, lang: Lang) -> Option<String> {
        (!self.is_sure).then(|| lang.text("findings.chance").into())
    }
}

/// Rows of `first`, each with the row of `other` at the place that `to` makes of its own, all of them verified; those
/// that it refuses are left out.
fn pairs<'a>(
    first: &Variant<'a>,
    other: &Variant<'a>,
    operation: Operation,
    to: impl Fn(&mut Place) -> bool,
) -> Vec<Pair<'a>> {
    let is_ok = |row: &Row| row.status == Status::Ok;
    let rows = first.rows.iter().copied();
    let rows = rows.filter(|row| row.cell.operation == operation && is_ok(row));
    let pair = |row: &'a Row| {
        let mut place = Place::of(row);
        let other_row = to(&mut place).then(|| other.at(place))??;
        is_ok(other_row).then_some([(&first.run.contents, row), (&other.run.contents, other_row)])
    };
    rows.filter_map(pair).collect()
}

impl<'a> Findings<'a> {
    /// The least and the greatest value of an axis, if these are two.
    fn ends<T: Ord + Copy>(&self, operation: Operation, of: fn(Place) -> T) -> Option<(T, T)> {
        let values = self.values(operation, of);
        let ends = (*values.first()?, *values.last()?);
        (values.len() > 1).then_some(ends)
    }

    /// How many times as long a client of the first variant takes, as a clause after `what`.
    fn longer(
        &self,
        operation: Operation,
        what: &str,
        to: impl Fn(&mut Place) -> bool,
    ) -> Option<String> {
        let lang = self.lang;
        let variant = self.variants.first()?;
        let effect = Effect::of(&pairs(variant, variant, operation, to), TIME)?;
        let (factor, from) = effect.text(lang);
        Some(and(
            say!(lang, "findings.longer", what, factor, from),
            effect.chance(lang),
        ))
    }

    pub(super) fn clients_effect(&self, operation: Operation) -> Option<String> {
        let lang = self.lang;
        let (few, many) = self.ends(operation, |place| place.clients)?;
        let to = |place: &mut Place| replace(&mut place.clients, many) == few;
        let (first, last) = (lang.int(few), lang.int(many));
        let what = say!(lang, "findings.clients_effect", last, first);
        self.longer(operation, &what, to)
    }

    pub(super) fn servers_effect(&self, operation: Operation) -> Option<String> {
        let lang = self.lang;
        let clients = *self.values(operation, |place| place.clients).last()?;
        let (few, many) = self.ends(operation, |place| place.servers)?;
        let to = |place: &mut Place| {
            replace(&mut place.servers, many) == few && place.clients == clients
        };
        let what = say!(
            lang,
            "findings.servers_effect",
            clients = count!(lang, "findings.clients", clients),
            few = lang.int(few),
            many = lang.int(many)
        );
        self.longer(operation, &what, to)
    }

    /// That nothing stands beside the only pool, with how to have that.
    fn one_pool(&self, variant: &Variant<'a>) -> Option<String> {
        let pool = variant.rows.first()?.server_pool();
        (!pool.is_empty()).then(|| say!(self.lang, "findings.one_pool", pool))
    }

    /// Every other variant against the first: the same rows, all clients together.
    pub(super) fn models(&self) -> Vec<String> {
        let lang = self.lang;
        if let [run] = self.runs
            && !run.subjects().is_empty()
        {
            let comparisons = subjects::comparisons(run);
            let sentences = comparisons.iter().map(|it| subjects::sentences(it, lang));
            return sentences.flatten().collect();
        }
        let [first, others @ ..] = self.variants else {
            return Vec::new();
        };
        if others.is_empty() {
            return Vec::from_iter(self.one_pool(first));
        }
        let of = |other: &Variant<'a>| {
            let parts = Operation::ALL.iter().filter_map(|operation| {
                let pairs = pairs(first, other, *operation, |_| true);
                let effect = Effect::of(&pairs, TOGETHER)?;
                let [factor, min, max] =
                    [effect.mean, effect.min, effect.max].map(|it| lang.ratio(it));
                let chance = effect.chance_of(lang);
                let name = nine::operation(*operation).to_lowercase();
                Some(say!(lang, "findings.model", name, factor, min, max, chance))
            });
            let parts = lang.list(&parts.collect::<Vec<_>>());
            let (first, other) = (&first.label, &other.label);
            (!parts.is_empty()).then(|| say!(lang, "findings.models", other, first, parts))
        };
        others.iter().take(VARIANTS_MAX).filter_map(of).collect()
    }
}
