//! How far the figures can be believed: samples, spread, flags, and what failed.

use stress_data::summary::Row;

use super::Findings;
use crate::definitions::{Definition, FLAGS};
use crate::lang::Lang;
use crate::variants::Variant;

impl<'a> Findings<'a> {
    pub(super) fn trust(&self) -> Vec<String> {
        let mut found = vec![self.samples()];
        found.extend(self.spread());
        found.extend(FLAGS.iter().filter_map(|flag| self.flag(flag)));
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
            (1, 1) => lang.of(
                "One sample per cell: differences under 20 % mean nothing. `--repeat 5` measures each cell five times, in a seeded order, and shows the spread.",
                "Satu sampel per sel: perbedaan di bawah 20 % tidak berarti apa-apa. `--repeat 5` mengukur setiap sel lima kali, dengan urutan dari seed, dan menunjukkan sebarannya.",
            ),
            (1, _) => lang.of(
                "Some runs have one sample per cell: differences under 20 % mean nothing there. `--repeat 5` shows the spread.",
                "Sebagian pengukuran hanya punya satu sampel per sel: perbedaan di bawah 20 % di sana tidak berarti. `--repeat 5` menunjukkan sebarannya.",
            ),
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
        let too_few = match (lang, few < 5) {
            (_, false) => "",
            (Lang::En, true) => {
                " Fewer than five tell an outlier from spread badly; `--repeat 5` takes five."
            }
            (Lang::Id, true) => {
                " Kurang dari lima sampel sulit membedakan pencilan dari sebaran; `--repeat 5` mengambil lima."
            }
        };
        match lang {
            Lang::En => format!(
                "Figures are medians of {samples} samples per cell, taken in a seeded order.{too_few}"
            ),
            Lang::Id => format!(
                "Angka adalah median dari {samples} sampel per sel, yang diambil dengan urutan dari seed.{too_few}"
            ),
        }
    }

    /// How far samples of a cell lie apart.
    fn spread(&self) -> Option<String> {
        let lang = self.lang;
        let share = |(variant, row): (&'a Variant<'a>, &'a Row)| {
            let time = row.time_ns?;
            Some((time.mad? as f64 / time.median.max(1) as f64, variant, row))
        };
        let rows = self
            .variants
            .iter()
            .flat_map(|variant| variant.rows.iter().map(move |row| (variant, *row)));
        let mut shares: Vec<_> = rows.filter_map(share).collect();
        shares.sort_by(|(a, ..), (b, ..)| a.total_cmp(b));
        let (most, variant, row) = shares.last()?;
        let half = lang.percent(shares[shares.len() / 2].0);
        let most = lang.percent(*most);
        let (min, max) = row
            .time_ns
            .map(|time| (self.time(time.min), self.time(time.max)))?;
        let row = self.described(variant, row);
        Some(match lang {
            Lang::En => format!(
                "The samples' median absolute deviation (MAD) is at most {half} of the time in half of the rows; it is largest, {most}, in {row}: {min} to {max}."
            ),
            Lang::Id => format!(
                "Median simpangan mutlak (MAD) sampel paling besar {half} dari waktunya pada separuh baris; terbesar {most}, pada {row}: {min} sampai {max}."
            ),
        })
    }

    fn flag(&self, flag: &Definition) -> Option<String> {
        let lang = self.lang;
        let is_set = |row: &Row| row.flags.iter().any(|set| set.as_str() == flag.name);
        let rows = self.all_rows().filter(|(_, row)| is_set(row));
        let numbers: Vec<u32> = rows.map(|(_, row)| row.cell.number).collect();
        let count = lang.int(numbers.len() as u64);
        let named = self.numbers(&numbers);
        let (name, meaning) = (flag.name, flag.meaning(lang));
        (!numbers.is_empty()).then(|| match (lang, numbers.len()) {
            (Lang::En, 1) => format!("`{name}` in row {named}: {meaning}"),
            (Lang::En, _) => format!("`{name}` in {count} rows ({named}): {meaning}"),
            (Lang::Id, _) => format!("`{name}` pada {count} baris ({named}): {meaning}"),
        })
    }

    fn changed_sources(&self) -> Option<String> {
        let sessions = self.runs.iter().flat_map(|run| &run.contents.sessions);
        let is_changed = sessions
            .into_iter()
            .any(|session| session.commit.ends_with("-dirty"));
        let words = self.lang.of(
            "The program was built from sources that differ from its commit (`-dirty`): it cannot be built again exactly.",
            "Program dibangun dari sumber yang berbeda dari commit-nya (`-dirty`): tidak dapat dibangun ulang persis sama.",
        );
        is_changed.then(|| words.into())
    }
}
