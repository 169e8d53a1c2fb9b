//! Which row of one run is the same combination as which row of another.
//!
//! Rows are matched by what was measured, not by their numbers: a filtered run and one with other pools number
//! the same combination differently. Where one run has a single value of an axis that the other run does not
//! have at all (process workers against thread workers, a foreign server against ours, two buffer sizes), that
//! axis is what is being compared, and is left out of the matching.

use std::collections::{BTreeMap, BTreeSet};

use crate::summary::Row;
use crate::summary::csv::{self, Field};

/// The columns that say which combination a row is.
const AXES: [&str; 11] = [
    "operation",
    "volume_bytes",
    "client_workers",
    "server_workers",
    "client_pool",
    "server_pool",
    "client_buffer_bytes",
    "server_buffer_bytes",
    "encoded_cache_bytes",
    "fault",
    "subject",
];
/// How many of them always have to be the same: an upload does not compare with a download.
const FIXED_LEN: usize = 4;

/// An axis in which the two runs differ as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The column.
    pub axis: &'static str,
    /// Its values in the old run, joined by commas; empty for none.
    pub old: String,
    /// Its values in the new one.
    pub new: String,
}

/// Which rows belong together.
#[derive(Debug)]
pub struct Matching<'a> {
    /// What is compared.
    pub differences: Vec<Difference>,
    /// Old and new row of one combination, in the order of the new run.
    pub pairs: Vec<(&'a Row, &'a Row)>,
    /// Rows of the old run that the new one has nothing beside.
    pub only_old: Vec<&'a Row>,
    /// Rows of the new run that the old one has nothing beside.
    pub only_new: Vec<&'a Row>,
}

impl<'a> Matching<'a> {
    /// Of the rows of two runs.
    pub(crate) fn new(old: &'a [Row], new: &'a [Row]) -> Self {
        let mut differences = Vec::new();
        let mut shared = Vec::from(&AXES[..FIXED_LEN]);
        for axis in &AXES[FIXED_LEN..] {
            let (old, new) = (values(old, axis), values(new, axis));
            let is_single = old.len() == 1 || new.len() == 1;
            if is_single && old.is_disjoint(&new) {
                differences.push(Difference {
                    axis,
                    old: join(&old),
                    new: join(&new),
                });
            } else {
                shared.push(axis);
            }
        }
        let mut by_key: BTreeMap<Vec<Field>, Vec<&'a Row>> = BTreeMap::new();
        for row in old {
            by_key.entry(key(row, &shared)).or_default().push(row);
        }
        let mut matched = BTreeSet::new();
        let (mut pairs, mut only_new) = (Vec::new(), Vec::new());
        for row in new {
            let partners = by_key.get(&key(row, &shared));
            if partners.is_none() {
                only_new.push(row);
            }
            for partner in partners.into_iter().flatten() {
                matched.insert(partner.cell.number);
                pairs.push((*partner, row));
            }
        }
        let is_alone = |row: &&Row| !matched.contains(&row.cell.number);
        Self {
            differences,
            pairs,
            only_old: old.iter().filter(is_alone).collect(),
            only_new,
        }
    }
}

fn values(rows: &[Row], axis: &str) -> BTreeSet<Field> {
    rows.iter().map(|row| value(row, axis)).collect()
}

fn key(row: &Row, axes: &[&str]) -> Vec<Field> {
    axes.iter().map(|axis| value(row, axis)).collect()
}

fn value(row: &Row, axis: &str) -> Field {
    match axis {
        // What was asked for: a row that was not run has no more than that.
        "server_buffer_bytes" => bytes(row.cell.server_buffer),
        "encoded_cache_bytes" => bytes(row.cell.encoded_cache),
        axis => csv::field(row, axis),
    }
}

fn bytes(asked: Option<u64>) -> Field {
    asked.map_or(Field::Missing, |bytes| Field::Number(bytes, 0))
}

fn join(values: &BTreeSet<Field>) -> String {
    let mut values: Vec<String> = values.iter().map(Field::to_string).collect();
    values.sort();
    values.join(",")
}

#[cfg(test)]
mod tests {
    use crate::matrix::{Operation, Selection, ServerPool};
    use crate::summary;

    use super::*;
    use crate::testing;

    fn rows(pools: &[ServerPool], clients: &[u32], is_foreign: bool) -> Vec<Row> {
        let selection = Selection {
            operations: vec![Operation::Upload],
            volumes: vec![10 << 20],
            clients: clients.to_vec(),
            server_pools: pools.to_vec(),
            ..Selection::default()
        };
        let mut contents = testing::contents(&selection, 1);
        if is_foreign {
            contents.header.fingerprint.settings.server =
                testing::foreign("python3 s.py {port} {root}");
        }
        summary::rows(&contents)
    }

    fn numbers(pairs: &[(&Row, &Row)]) -> Vec<(u32, u32)> {
        let pairs = pairs.iter();
        pairs
            .map(|(old, new)| (old.cell.number, new.cell.number))
            .collect()
    }

    #[test]
    fn the_same_combination_is_found_under_another_number() {
        use ServerPool::{Process, Thread};
        // Thread workers come behind the 81 cells of process workers.
        let old = rows(&[Thread], &[5], false);
        let new = rows(&[Process, Thread], &[5], false);
        let matching = Matching::new(&old, &new);
        assert_eq!(matching.differences, []);
        assert_eq!(numbers(&matching.pairs), [(31, 112), (32, 113), (33, 114)]);
        assert_eq!(matching.only_new.len(), 3);
        assert_eq!(matching.only_old.len(), 0);
    }

    #[test]
    fn pools_that_differ_as_a_whole_are_what_is_compared() {
        let old = rows(&[ServerPool::Process], &[1, 5], false);
        let new = rows(&[ServerPool::Thread], &[5], false);
        let matching = Matching::new(&old, &new);
        let difference = Difference {
            axis: "server_pool",
            old: "process".into(),
            new: "thread".into(),
        };
        assert_eq!(matching.differences, [difference]);
        assert_eq!(numbers(&matching.pairs), [(31, 31), (32, 32), (33, 33)]);
        assert_eq!(matching.only_old.len(), 3);
    }

    #[test]
    fn a_foreign_server_stands_beside_each_of_our_pools() {
        use ServerPool::{Process, Thread};
        let old = rows(&[Process], &[1], true);
        let new = rows(&[Process, Thread], &[1], false);
        let matching = Matching::new(&old, &new);
        let difference = &matching.differences[0];
        assert_eq!(
            (difference.old.as_str(), difference.new.as_str()),
            ("", "process,thread")
        );
        let want = [
            (28, 28),
            (29, 29),
            (30, 30),
            (28, 109),
            (29, 110),
            (30, 111),
        ];
        assert_eq!(numbers(&matching.pairs), want);
    }

    #[test]
    fn different_operations_never_match() {
        let old = rows(&[ServerPool::Process], &[1], false);
        let mut new = old.clone();
        for row in &mut new {
            row.cell.operation = Operation::Download;
        }
        let matching = Matching::new(&old, &new);
        assert_eq!(matching.pairs.len(), 0);
        assert_eq!((matching.only_old.len(), matching.only_new.len()), (3, 3));
    }
}
