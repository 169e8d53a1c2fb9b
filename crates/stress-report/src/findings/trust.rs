//! How far the figures can be believed: samples, spread, flags, and what failed.

use stress_data::summary::Row;

use super::{Findings, and};
use crate::definitions::{self, Definition};
use crate::texts::{count, say};
use crate::variants::Variant;

impl<'a> Findings<'a> {
    pub(super) fn trust(&self) -> Vec<String> {
        let mut found = vec![self.samples()];
        found.extend(self.spread());
        found.extend(
            definitions::flags()
                .iter()
                .filter_map(|flag| self.flag(flag)),
        );
        found.extend(self.changed_sources());
        found
    }

    fn samples(&self) -> String {
        let lang = self.lang;
        let repeats = self
            .runs
            .iter()
            .map(|run| run.contents.header.fingerprint.repeats);
        let (least, most) = repeats.fold((u32::MAX, 0), |(least, most), repeats| {
            (least.min(repeats), most.max(repeats))
        });
        let words = match (least, most) {
            (1, 1) => lang.text("findings.one_sample"),
            (1, _) => lang.text("findings.one_sample_in_some_runs"),
            (few, many) => return self.medians(few, many),
        };
        words.into()
    }

    fn medians(&self, few: u32, many: u32) -> String {
        let lang = self.lang;
        let samples = match few == many {
            true => lang.int(few),
            false => format!("{}–{}", lang.int(few), lang.int(many)),
        };
        let too_few = (few < 5).then(|| lang.text("findings.too_few").into());
        and(say!(lang, "findings.medians", samples), too_few)
    }

    /// How far samples of a cell lie apart.
    fn spread(&self) -> Option<String> {
        let lang = self.lang;
        let share = |(variant, row): (&'a Variant<'a>, &'a Row)| {
            Some((row.time_ns?.mad_share()?, variant, row))
        };
        let mut shares: Vec<_> = self.all_rows().filter_map(share).collect();
        shares.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
        let (most, variant, row) = shares.last()?;
        let half = lang.percent(shares[shares.len() / 2].0);
        let most = lang.percent(*most);
        let time = row.time_ns?;
        let (min, max) = (self.time(time.min), self.time(time.max));
        let row = self.described(variant, row);
        Some(say!(lang, "findings.spread", half, most, row, min, max))
    }

    fn flag(&self, flag: &Definition) -> Option<String> {
        let lang = self.lang;
        let is_set = |row: &Row| row.flags.iter().any(|set| set.as_str() == flag.name);
        let rows = self.all_rows().filter(|(_, row)| is_set(row));
        let numbers: Vec<u32> = rows.map(|(_, row)| row.cell.number).collect();
        let rows = numbers.len() as u64;
        let named = self.numbers(&numbers);
        let (name, meaning) = (flag.name, flag.meaning(lang));
        (rows > 0).then(|| count!(lang, "findings.flag", rows, name, named, meaning))
    }

    fn changed_sources(&self) -> Option<String> {
        let sessions = self.runs.iter().flat_map(|run| &run.contents.sessions);
        let is_changed = sessions
            .into_iter()
            .any(|session| session.commit.ends_with("-dirty"));
        let words = self.lang.text("findings.changed_sources");
        is_changed.then(|| words.into())
    }
}
