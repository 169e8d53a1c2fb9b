//! Several runs that were handed in, a line each: who, whether it holds, which rows are missing, whose copy it is. Pure.

use std::collections::{BTreeMap, BTreeSet};

use screen::{Column, Screen, Table};
use serde::Serialize;

use super::{Checked, Copies};
use crate::matrix::{Cell, Operation};
use crate::measurement::Status;
use crate::summary::Row;

/// Who handed a run in, as its folder remembers it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HandedIn {
    /// The authors.
    pub authors: Vec<String>,
    /// Their numbers: none, or one for each.
    pub student_ids: Vec<String>,
    /// Their class.
    pub class: Option<String>,
}

/// What a row measures, whatever the pools were: what an assignment asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Combination {
    /// What each client did.
    operation: Operation,
    /// The size of each client's file.
    volume_bytes: u64,
    /// The size of the client pool.
    client_workers: u32,
    /// The size of the server's pool.
    server_workers: u32,
}

impl Combination {
    fn of(cell: &Cell) -> Self {
        Self {
            operation: cell.operation,
            volume_bytes: cell.volume,
            client_workers: cell.clients,
            server_workers: cell.servers,
        }
    }
}

/// Each combination of a run, and whether all rows of it are ok: there are several where there are several pools or subjects.
pub(super) fn combinations(rows: &[Row]) -> BTreeMap<Combination, bool> {
    let mut found = BTreeMap::new();
    for row in rows {
        let is_ok = found.entry(Combination::of(&row.cell)).or_insert(true);
        *is_ok &= row.status == Status::Ok;
    }
    found
}

/// One run among those of its class.
#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    /// Combinations that more than half of all runs have, and this one has not, or not ok.
    pub missing: Vec<Combination>,
    /// The places of the runs that have samples in common with it; its own, if it has some twice.
    pub copies_of: BTreeSet<usize>,
}

/// What each of the runs is among all.
#[must_use]
pub fn members(checked: &[Checked], copies: &[Copies]) -> Vec<Member> {
    let mut planned: BTreeMap<Combination, usize> = BTreeMap::new();
    for combination in checked.iter().flat_map(|one| one.combinations.keys()) {
        *planned.entry(*combination).or_default() += 1;
    }
    let asked = planned
        .into_iter()
        .filter(|(_, runs)| runs * 2 > checked.len());
    let asked: Vec<Combination> = asked.map(|(combination, _)| combination).collect();
    let member = |(place, one): (usize, &Checked)| {
        let is_missing = |it: &&Combination| one.combinations.get(it) != Some(&true);
        Member {
            missing: asked.iter().filter(is_missing).copied().collect(),
            copies_of: copies.iter().filter_map(|it| it.other(place)).collect(),
        }
    };
    checked.iter().enumerate().map(member).collect()
}

/// The table of a class; nothing if no run says who handed it in.
#[must_use]
pub fn table(checked: &[Checked], members: &[Member], screen: Screen) -> String {
    if checked.iter().all(|one| one.handed_in.authors.is_empty()) {
        return String::new();
    }
    let mut table = Table::new([
        Column::text("who"),
        Column::text("id"),
        Column::text("verified"),
        Column::number("rows ok").short("rows", "ok"),
        Column::number("missing"),
        Column::text("copy of"),
        Column::text("run").spare(1),
    ]);
    for (one, member) in checked.iter().zip(members) {
        let copies = member.copies_of.iter().map(|place| who(&checked[*place]));
        let copies: Vec<String> = copies.collect();
        let cells = [
            who(one),
            one.handed_in.student_ids.join(", "),
            verified(one),
            format!("{} of {}", one.rows_ok, one.rows),
            member.missing.len().to_string(),
            copies.join("; "),
            name(one),
        ];
        match one.findings.is_empty() && copies.is_empty() && member.missing.is_empty() {
            true => table.row(cells),
            false => table.bad_row(cells),
        }
    }
    table.render(screen)
}

fn verified(one: &Checked) -> String {
    match (one.findings.is_empty(), one.older_schema) {
        (false, _) => "NO".into(),
        (true, None) => "yes".into(),
        (true, Some(schema)) => format!("journal (schema {schema})"),
    }
}

/// The authors, or the run if it does not say.
fn who(one: &Checked) -> String {
    match one.handed_in.authors.is_empty() {
        true => name(one),
        false => one.handed_in.authors.join(", "),
    }
}

fn name(one: &Checked) -> String {
    crate::run::Run::name_of(&one.run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Selection, ServerPool};
    use crate::{summary, testing};

    #[test]
    fn a_combination_is_there_if_every_row_of_it_is_ok() {
        let selection = Selection {
            operations: vec![Operation::List],
            volumes: vec![1 << 20],
            clients: vec![1],
            servers: vec![1],
            server_pools: vec![ServerPool::Process, ServerPool::Thread],
            ..Selection::default()
        };
        let mut rows = summary::rows(&testing::contents(&selection, 1));
        rows[0].status = Status::Ok;
        for (last, is_there) in [(Status::Ok, true), (Status::Failed, false)] {
            rows[1].status = last;
            let found: Vec<bool> = combinations(&rows).into_values().collect();
            assert_eq!(found, [is_there]);
        }
    }
}
