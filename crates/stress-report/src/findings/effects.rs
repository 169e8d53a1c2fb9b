//! What one axis does, all others being equal: ratios of rows that differ in nothing else.

use stress_data::matrix::Operation;
use stress_data::measurement::Status;
use stress_data::size;
use stress_data::summary::Row;

use super::{Findings, OPERATIONS, VARIANTS_MAX, plural};
use crate::lang::Lang;
use crate::nine;
use crate::variants::{Place, Variant};

/// Below this factor either way one sample tells nothing.
const ONE_SAMPLE_FACTOR: f64 = 1.2;

/// Ratios of pairs of rows.
struct Effect {
    /// Their geometric mean: the one mean of which the inverse is that of the inverses.
    mean: f64,
    min: f64,
    max: f64,
    pairs: usize,
    /// Pairs whose samples' ranges of times do not overlap; none if any row has one sample.
    apart: Option<usize>,
}

impl Effect {
    fn of(pairs: &[(&Row, &Row)], pick: fn(&Row) -> Option<u64>) -> Option<Self> {
        let ratio = |(from, to): &(&Row, &Row)| {
            let (from, to) = (pick(from)? as f64, pick(to)? as f64);
            (from > 0.0 && to > 0.0).then_some(to / from)
        };
        let ratios: Vec<f64> = pairs.iter().filter_map(ratio).collect();
        if ratios.is_empty() {
            return None;
        }
        let logs: f64 = ratios.iter().map(|ratio| ratio.ln()).sum();
        let has_spread = |(from, to): &(&Row, &Row)| from.samples > 1 && to.samples > 1;
        Some(Self {
            mean: (logs / ratios.len() as f64).exp(),
            min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            max: ratios.iter().copied().fold(0.0, f64::max),
            pairs: ratios.len(),
            apart: pairs
                .iter()
                .all(has_spread)
                .then(|| pairs.iter().filter(|pair| is_apart(pair)).count()),
        })
    }

    /// `31.2 times (geometric mean of 9 pairs of rows, 18.4 to 52.0)`, without the `times`.
    fn text(&self, lang: Lang) -> (String, String) {
        let mean = lang.ratio(self.mean);
        let (min, max) = (lang.ratio(self.min), lang.ratio(self.max));
        let pairs = lang.int(self.pairs as u64);
        let from = match (lang, self.pairs) {
            (Lang::En, 1) => "one pair of rows".into(),
            (Lang::Id, 1) => "satu pasang baris".into(),
            (Lang::En, _) => format!("geometric mean of {pairs} pairs of rows, {min} to {max}"),
            (Lang::Id, _) => {
                format!("rata-rata geometrik {pairs} pasang baris, {min} sampai {max}")
            }
        };
        (mean, from)
    }

    /// `; 18.4 to 52.0`; nothing for a single pair.
    fn range(&self, lang: Lang) -> String {
        match self.pairs {
            1 => String::new(),
            _ => format!(
                "; {} {} {}",
                lang.ratio(self.min),
                lang.of("to", "sampai"),
                lang.ratio(self.max)
            ),
        }
    }

    /// `; 3 of 18 apart`: how many pairs' samples do not overlap.
    fn apart_of(&self, lang: Lang) -> String {
        let Some(apart) = self.apart else {
            return String::new();
        };
        let (apart, pairs) = (lang.int(apart as u64), lang.int(self.pairs as u64));
        match lang {
            Lang::En => format!("; in {apart} of {pairs} the samples do not overlap"),
            Lang::Id => format!("; pada {apart} dari {pairs}, sampelnya tidak tumpang-tindih"),
        }
    }

    /// Whether the effect can be told from chance, in words.
    fn verdict(&self, lang: Lang) -> String {
        let is_small = (1.0 / ONE_SAMPLE_FACTOR..ONE_SAMPLE_FACTOR).contains(&self.mean);
        match (self.apart, lang) {
            (Some(apart), lang) => {
                let apart = lang.int(apart as u64);
                let pairs = lang.counted(self.pairs as u64, "pair", "pasang");
                match lang {
                    Lang::En => format!(
                        " In {apart} of {pairs} the ranges of the samples' times do not overlap."
                    ),
                    Lang::Id => format!(
                        " Pada {apart} dari {pairs}, rentang waktu sampelnya tidak tumpang-tindih."
                    ),
                }
            }
            (None, Lang::En) if is_small => {
                " That is less than the 20 % that one sample can tell.".into()
            }
            (None, Lang::Id) if is_small => {
                " Itu kurang dari 20 %, yang tidak dapat dibedakan dengan satu sampel.".into()
            }
            (None, _) => String::new(),
        }
    }
}

fn is_apart((from, to): &(&Row, &Row)) -> bool {
    match (from.time_ns, to.time_ns) {
        (Some(from), Some(to)) => from.max < to.min || to.max < from.min,
        _ => false,
    }
}

fn time(row: &Row) -> Option<u64> {
    row.time_ns.map(|time| time.median)
}

fn together(row: &Row) -> Option<u64> {
    row.aggregate_bytes_per_s
}

impl<'a> Findings<'a> {
    /// Rows of the variant that are both verified, and differ as `to` says; rows it says nothing about are left
    /// out.
    fn pairs(
        variant: &Variant<'a>,
        operation: Operation,
        to: impl Fn(Place) -> Option<Place>,
    ) -> Vec<(&'a Row, &'a Row)> {
        let is_ok = |row: &Row| row.status == Status::Ok;
        let rows = variant.rows.iter().copied();
        let rows = rows.filter(|row| row.cell.operation == operation && is_ok(row));
        let pair = |row: &'a Row| {
            let other = variant.at(to(Place::of(row))?)?;
            is_ok(other).then_some((row, other))
        };
        rows.filter_map(pair).collect()
    }

    /// How many times as long a client takes, as a clause after `what`: with the whole of the evidence for a single
    /// variant, with factor and range for each of several.
    fn longer(
        &self,
        operation: Operation,
        what: &str,
        to: impl Fn(Place) -> Option<Place> + Copy,
    ) -> Option<String> {
        let lang = self.lang;
        let effect = |variant: &Variant<'a>| Effect::of(&Self::pairs(variant, operation, to), time);
        if let [variant] = self.variants {
            let effect = effect(variant)?;
            let (factor, from) = effect.text(lang);
            let verdict = effect.verdict(lang);
            return Some(match lang {
                Lang::En => format!("{what} takes {factor} times as long ({from}).{verdict}"),
                Lang::Id => format!("{what} menjadi {factor} kali ({from}).{verdict}"),
            });
        }
        let each = self
            .variants
            .iter()
            .take(VARIANTS_MAX)
            .filter_map(|variant| {
                let effect = effect(variant)?;
                let (factor, range) = (lang.ratio(effect.mean), effect.range(lang));
                Some(format!("{factor} ({}{range})", variant.label))
            });
        let each: Vec<String> = each.collect();
        (!each.is_empty()).then(|| match lang {
            Lang::En => format!("{what} takes so many times as long: {}.", lang.list(&each)),
            Lang::Id => format!("{what} menjadi sekian kali: {}.", lang.list(&each)),
        })
    }

    pub(super) fn clients_effect(&self, operation: Operation) -> Option<String> {
        let lang = self.lang;
        let sizes = self.values(operation, |place| place.clients);
        let (few, many) = (*sizes.first()?, *sizes.last()?);
        let to = |place: Place| {
            (few != many && place.clients == few).then_some(Place {
                clients: many,
                ..place
            })
        };
        let (first, last) = (lang.int(few), lang.int(many));
        let what = match lang {
            Lang::En => format!("With {last} clients instead of {first} a client"),
            Lang::Id => format!("Dengan {last} client, bukan {first}, waktu satu client"),
        };
        self.longer(operation, &what, to)
    }

    /// What more clients do to all of them together; for a single variant, because it is a comparison of its own.
    pub(super) fn clients_together(&self, operation: Operation) -> Option<String> {
        let lang = self.lang;
        let [variant] = self.variants else {
            return None;
        };
        let sizes = self.values(operation, |place| place.clients);
        let (few, many) = (*sizes.first()?, *sizes.last()?);
        let pairs = Self::pairs(variant, operation, |place| {
            (few != many && place.clients == few).then_some(Place {
                clients: many,
                ..place
            })
        });
        let more = Effect::of(&pairs, together)?;
        let (factor, from) = more.text(lang);
        let (few, many) = (lang.int(few), lang.int(many));
        Some(match lang {
            Lang::En => format!(
                "All {many} clients together move {factor} times as many bytes a second as {few} alone ({from})."
            ),
            Lang::Id => format!(
                "Ke-{many} client bersama-sama memindahkan {factor} kali byte per detik dibanding {few} client ({from})."
            ),
        })
    }

    pub(super) fn servers_effect(&self, operation: Operation) -> Option<String> {
        let lang = self.lang;
        let clients = *self.values(operation, |place| place.clients).last()?;
        let sizes = self.values(operation, |place| place.servers);
        let (few, many) = (*sizes.first()?, *sizes.last()?);
        let to = |place: Place| {
            let is_start = few != many && place.servers == few && place.clients == clients;
            is_start.then_some(Place {
                servers: many,
                ..place
            })
        };
        let plural = plural(clients);
        let (few, many, clients) = (lang.int(few), lang.int(many), lang.int(clients));
        let what = match lang {
            Lang::En => format!(
                "{clients} client{plural}: with {many} server workers instead of {few} a client"
            ),
            Lang::Id => format!(
                "{clients} client: dengan {many} worker server, bukan {few}, waktu satu client"
            ),
        };
        self.longer(operation, &what, to)
    }

    pub(super) fn volume_effect(&self, operation: Operation) -> Option<String> {
        let lang = self.lang;
        let sizes = self.values(operation, |place| place.volume);
        let (small, large) = (*sizes.first()?, *sizes.last()?);
        let to = |place: Place| {
            (small != large && place.volume == small).then_some(Place {
                volume: large,
                ..place
            })
        };
        let times = match large.is_multiple_of(small) {
            true => lang.int(large / small),
            false => lang.ratio(large as f64 / small as f64),
        };
        let (small, large) = (size::format(small), size::format(large));
        let what = match lang {
            Lang::En => format!("{times} times the volume ({small} to {large})"),
            Lang::Id => {
                format!("Dengan volume {times} kali ({small} ke {large}), waktu satu client")
            }
        };
        self.longer(operation, &what, to)
    }

    pub(super) fn uploads_against_downloads(&self) -> Option<String> {
        let lang = self.lang;
        // Of the first variant: means over several would mix models with each other.
        let variant = self.variants.first()?;
        let pairs = Self::pairs(variant, Operation::Download, |place| {
            Some(Place {
                operation: Operation::Upload,
                ..place
            })
        });
        let under = match self.variants {
            [_] => String::new(),
            _ => format!(" {} “{}”", lang.of("under", "pada"), variant.label),
        };
        let effect = Effect::of(&pairs, time)?;
        let (factor, from) = effect.text(lang);
        let verdict = effect.verdict(lang);
        Some(match lang {
            Lang::En => format!(
                "An upload takes {factor} times as long as a download of the same volume with the same pools{under} ({from}).{verdict}"
            ),
            Lang::Id => format!(
                "Waktu upload {factor} kali waktu download dengan volume dan pool yang sama{under} ({from}).{verdict}"
            ),
        })
    }

    /// Every other variant against the first: the same rows, all clients together.
    pub(super) fn models(&self) -> Vec<String> {
        let lang = self.lang;
        let [first, others @ ..] = self.variants else {
            return Vec::new();
        };
        let of = |other: &Variant<'a>| {
            let parts = OPERATIONS.iter().filter_map(|operation| {
                let pairs = self.same_rows(first, other, *operation);
                let effect = Effect::of(&pairs, together)?;
                let (factor, from) = effect.text(lang);
                let apart = effect.apart_of(lang);
                let name = nine::operation(*operation).to_lowercase();
                let times = lang.of("times", "kali");
                Some(format!("{name} {factor} {times} ({from}{apart})"))
            });
            let parts = lang.list(&parts.collect::<Vec<_>>());
            let (first, other) = (&first.label, &other.label);
            (!parts.is_empty()).then(|| match lang {
                Lang::En => format!("“{other}” against “{first}”, bytes a second of all clients together: {parts}."),
                Lang::Id => format!("“{other}” dibandingkan “{first}”, byte per detik semua client bersama-sama: {parts}."),
            })
        };
        let mut found: Vec<String> = others.iter().take(VARIANTS_MAX).filter_map(of).collect();
        let has_one_sample = self
            .variants
            .iter()
            .any(|variant| variant.run.contents.header.fingerprint.repeats == 1);
        if has_one_sample && !found.is_empty() {
            let words = lang.of(
                "With one sample a cell, factors between 0.83 and 1.20 tell nothing.",
                "Dengan satu sampel per sel, faktor antara 0,83 dan 1,20 tidak berarti apa-apa.",
            );
            found.push(words.into());
        }
        found
    }

    fn same_rows(
        &self,
        first: &Variant<'a>,
        other: &Variant<'a>,
        operation: Operation,
    ) -> Vec<(&'a Row, &'a Row)> {
        let is_ok = |row: &Row| row.status == Status::Ok;
        let rows = first.rows.iter().copied();
        let rows = rows.filter(|row| row.cell.operation == operation && is_ok(row));
        let pair = |row: &'a Row| {
            other
                .at(Place::of(row))
                .filter(|other| is_ok(other))
                .map(|other| (row, other))
        };
        rows.filter_map(pair).collect()
    }

    /// How near the machine's ceiling the rows come that know it.
    pub(super) fn ceiling(&self, operation: Operation) -> Option<String> {
        let lang = self.lang;
        let rows = self.ok_rows(operation).filter_map(|(variant, row)| {
            let share = row.ceiling_share()?;
            Some((share, variant, row))
        });
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
        let (most, variant, row) = rows.last()?;
        let count = lang.int(rows.len() as u64);
        let (median, most) = (lang.percent(rows[rows.len() / 2].0), lang.percent(*most));
        let (len, row) = (rows.len(), self.described(variant, row));
        Some(match lang {
            Lang::En if len == 1 => {
                format!("The one row, {row}, reaches {most} of this machine's ceiling.")
            }
            Lang::Id if len == 1 => {
                format!("Satu-satunya baris, {row}, mencapai {most} batas kemampuan mesin ini.")
            }
            Lang::En => format!(
                "Half of the {count} rows reach {median} of this machine's ceiling or more; the most is {most}, in {row}."
            ),
            Lang::Id => format!(
                "Separuh dari {count} baris mencapai {median} batas kemampuan mesin ini atau lebih; tertinggi {most}, pada {row}."
            ),
        })
    }
}
