//! The runs of a report, and the variants in them: the same combinations measured with other pools, buffers or
//! faults, or in another run. Charts and comparisons set variants side by side.

use stress_data::matrix::{ClientPool, Operation};
use stress_data::measurement::ServerChoice;
use stress_data::run::Run;
use stress_data::summary::Row;
use stress_data::summary::csv::value;

use super::lang::Lang;
use super::texts::say;

/// Rows that differ in nothing but the assignment's four axes.
#[derive(Debug, Clone)]
pub(super) struct Variant<'a> {
    /// Which run they are of.
    pub(super) run: &'a Run,
    /// The rows.
    pub(super) rows: Vec<&'a Row>,
    /// What tells it from the others; of a single one, what it is.
    pub(super) label: String,
    /// Its colour in charts: one for each kind of server.
    pub(super) colour: usize,
    /// Whether it is drawn dashed and hollow: for process clients beside thread clients.
    pub(super) is_dashed: bool,
}

/// Where a row stands in the assignment's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) operation: Operation,
    pub(super) volume: u64,
    pub(super) clients: u32,
    pub(super) servers: u32,
}

impl Place {
    pub(super) fn of(row: &Row) -> Self {
        Self {
            operation: row.cell.operation,
            volume: row.cell.volume,
            clients: row.cell.clients,
            servers: row.cell.servers,
        }
    }
}

impl<'a> Variant<'a> {
    /// The row at `place`.
    pub(super) fn at(&self, place: Place) -> Option<&'a Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| Place::of(row) == place).copied()
    }
}

/// What rows of a variant share: the run's place, and the values in these columns.
const SHARED: [&str; 5] = [
    "server_pool",
    "client_pool",
    "client_buffer_bytes",
    "server_buffer_bytes",
    "fault",
];

/// All variants of `runs`, in the order of their first rows.
pub(super) fn of(runs: &[Run], lang: Lang) -> Vec<Variant<'_>> {
    with_rows(runs, lang, |_| true)
}

/// The variants without a fault; all if every one has one.
pub(super) fn undisturbed(runs: &[Run], lang: Lang) -> Vec<Variant<'_>> {
    let found = with_rows(runs, lang, |row| row.cell.fault.is_none());
    match found.is_empty() {
        true => of(runs, lang),
        false => found,
    }
}

fn with_rows(runs: &[Run], lang: Lang, is_wanted: fn(&Row) -> bool) -> Vec<Variant<'_>> {
    let mut keys: Vec<Key> = Vec::new();
    let mut found: Vec<Variant<'_>> = Vec::new();
    for (run_index, run) in runs.iter().enumerate() {
        for row in run.rows.iter().filter(|row| is_wanted(row)) {
            let key = Key::of(run_index, run, row);
            match keys.iter().position(|known| *known == key) {
                Some(index) => found[index].rows.push(row),
                None => {
                    keys.push(key);
                    found.push(Variant {
                        run,
                        rows: vec![row],
                        label: String::new(),
                        colour: 0,
                        is_dashed: false,
                    });
                }
            }
        }
    }
    let labels = labels(&keys, &found, lang);
    let has_both = has_several(&keys, |key| &key.values[1]);
    let mut colours: Vec<(usize, Vec<&str>)> = Vec::new();
    for ((variant, key), label) in found.iter_mut().zip(&keys).zip(labels) {
        variant.label = label;
        variant.is_dashed = has_both && key.values[1] == ClientPool::Process.as_str();
        let kind = key.colour();
        variant.colour = colours
            .iter()
            .position(|known| *known == kind)
            .unwrap_or_else(|| {
                colours.push(kind);
                colours.len() - 1
            });
    }
    found
}

#[derive(Debug, PartialEq)]
struct Key {
    run: usize,
    values: [String; SHARED.len()],
}

impl Key {
    fn of(run_index: usize, run: &Run, row: &Row) -> Self {
        let mut values = SHARED.map(|column| value(row, column).unwrap_or_default());
        if !row.is_own_server {
            values[0] = foreign_server(run).map(Foreign::name).unwrap_or_default();
        }
        // What was asked for, which a row whose server was lost has too.
        values[3] = row
            .cell
            .server_buffer
            .map(|bytes| bytes.to_string())
            .unwrap_or_default();
        Self {
            run: run_index,
            values,
        }
    }

    /// What the colour tells: everything but the clients' pool, which the dashes tell.
    fn colour(&self) -> (usize, Vec<&str>) {
        let values = self.values.iter().enumerate();
        let told = values.filter(|(index, _)| *index != 1);
        (self.run, told.map(|(_, value)| value.as_str()).collect())
    }
}

/// A server that the harness did not make: how it came to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Foreign<'a> {
    /// `--server-cmd`: by this command.
    Command(&'a str),
    /// `--target`: it ran at this address already.
    Target(&'a str),
}

/// None for a server of ours.
pub(super) fn foreign_server(run: &Run) -> Option<Foreign<'_>> {
    match &run.contents.header.fingerprint.settings.server {
        ServerChoice::Own => None,
        ServerChoice::Command { command, .. } => Some(Foreign::Command(command)),
        ServerChoice::Target { address, .. } => Some(Foreign::Target(address)),
    }
}

impl<'a> Foreign<'a> {
    /// The command, or the address.
    pub(super) const fn words(self) -> &'a str {
        match self {
            Self::Command(words) | Self::Target(words) => words,
        }
    }

    /// For short: the last name of its program or script, or the address.
    fn name(self) -> String {
        let command = match self {
            Self::Target(address) => return address.to_owned(),
            Self::Command(command) => command,
        };
        let words = shlex::split(command).unwrap_or_default();
        let endings = [".py", ".js", ".sh", ".rb"];
        let is_script = |word: &&String| endings.iter().any(|ending| word.ends_with(ending));
        let program = words.iter().find(is_script).or(words.first());
        let name = program.map_or("", |word| word.rsplit('/').next().unwrap_or(word));
        name.to_owned()
    }
}

fn has_several(keys: &[Key], pick: fn(&Key) -> &String) -> bool {
    keys.windows(2).any(|pair| pick(&pair[0]) != pick(&pair[1]))
}

/// Each variant's label names what differs among them. A single one is named by its pools.
fn labels(keys: &[Key], variants: &[Variant<'_>], lang: Lang) -> Vec<String> {
    let has_runs = keys.windows(2).any(|pair| pair[0].run != pair[1].run);
    let mut differs = [true, true, false, false, false];
    if keys.len() > 1 {
        for (index, differs) in differs.iter_mut().enumerate() {
            *differs = keys
                .windows(2)
                .any(|pair| pair[0].values[index] != pair[1].values[index]);
        }
    }
    let label = |(key, variant): (&Key, &Variant<'_>)| {
        let mut parts = Vec::new();
        if has_runs {
            parts.push(run_label(variant.run, variants));
        }
        let values = key.values.iter().enumerate();
        let told = values.filter(|(index, _)| differs[*index]);
        parts.extend(told.map(|(index, value)| part(index, value, lang)));
        parts.join(", ")
    };
    keys.iter().zip(variants).map(label).collect()
}

/// The run's own word, unless another run has the same.
fn run_label(run: &Run, variants: &[Variant<'_>]) -> String {
    let label = &run.contents.header.label;
    let is_shared = variants
        .iter()
        .any(|other| other.run.name != run.name && other.run.contents.header.label == *label);
    if is_shared {
        run.name.clone()
    } else {
        label.clone()
    }
}

fn part(index: usize, value: &str, lang: Lang) -> String {
    let size = || match value.parse() {
        Ok(bytes) => lang.bytes(bytes),
        Err(_) => lang.text("variants.kernels").into(),
    };
    match index {
        0 => say!(lang, "variants.server", value),
        1 => say!(lang, "variants.clients", value),
        2 => say!(lang, "variants.client_buffer", size = size()),
        3 => say!(lang, "variants.server_buffer", size = size()),
        _ if value == "none" => lang.text("variants.no_fault").into(),
        _ => say!(lang, "variants.fault", value),
    }
}
