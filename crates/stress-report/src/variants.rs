//! The runs of a report, and the variants in them: the same combinations measured with other pools, buffers or
//! faults, or in another run. Charts and comparisons set variants side by side.

use std::collections::BTreeSet;

use stress_data::fault::Fault;
use stress_data::matrix::{Cell, ClientPool, Operation};
use stress_data::measurement::ServerChoice;
use stress_data::run::Run;
use stress_data::summary::Row;

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
    pub(super) const fn new(operation: Operation, volume: u64, clients: u32, servers: u32) -> Self {
        Self {
            operation,
            volume,
            clients,
            servers,
        }
    }

    pub(super) fn of(row: &Row) -> Self {
        let cell = &row.cell;
        Self::new(cell.operation, cell.volume, cell.clients, cell.servers)
    }
}

impl<'a> Variant<'a> {
    /// The row at `place`.
    pub(super) fn at(&self, place: Place) -> Option<&'a Row> {
        let mut rows = self.rows.iter();
        rows.find(|row| Place::of(row) == place).copied()
    }
}

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
    let has_both = differ(&keys, |key| key.clients);
    let mut colours: Vec<Key> = Vec::new();
    for ((variant, key), label) in found.iter_mut().zip(keys).zip(labels) {
        variant.label = label;
        variant.is_dashed = has_both && key.clients == ClientPool::Process;
        // The colour tells everything but the clients' pool, which the dashes tell.
        let kind = Key {
            clients: ClientPool::Thread,
            ..key
        };
        let known = colours.iter().position(|known| *known == kind);
        variant.colour = known.unwrap_or(colours.len());
        if known.is_none() {
            colours.push(kind);
        }
    }
    found
}

/// What rows of a variant share.
#[derive(Debug, Clone, PartialEq)]
struct Key {
    /// The run's place.
    run: usize,
    /// What the server is.
    server: String,
    clients: ClientPool,
    client_buffer: Option<u64>,
    /// What was asked for, which a row whose server was lost has too.
    server_buffer: Option<u64>,
    encoded_cache: Option<u64>,
    fault: Fault,
    subject: Option<String>,
}

impl Key {
    fn of(run_index: usize, run: &Run, row: &Row) -> Self {
        let foreign = foreign_server(run, &row.cell).map(Foreign::name);
        Self {
            run: run_index,
            server: foreign.unwrap_or_else(|| row.server_pool().to_owned()),
            clients: row.cell.client_pool,
            client_buffer: row.cell.client_buffer,
            server_buffer: row.cell.server_buffer,
            encoded_cache: row.cell.encoded_cache,
            fault: row.cell.fault,
            subject: row.cell.subject.clone(),
        }
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
pub(super) fn foreign_server<'a>(run: &'a Run, cell: &Cell) -> Option<Foreign<'a>> {
    let settings = &run.contents.header.fingerprint.settings;
    let subject = settings.subject(cell);
    foreign(subject.map_or(&settings.server, |subject| &subject.server))
}

/// The same of what was chosen.
pub(super) fn foreign(server: &ServerChoice) -> Option<Foreign<'_>> {
    match server {
        ServerChoice::Own => None,
        ServerChoice::Command(it) => Some(Foreign::Command(&it.command)),
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

fn differ<T: PartialEq>(keys: &[Key], pick: impl Fn(&Key) -> T) -> bool {
    keys.windows(2).any(|pair| pick(&pair[0]) != pick(&pair[1]))
}

/// Each variant's label names what differs among them. A single one is named by its pools.
fn labels<'a>(keys: &[Key], variants: &[Variant<'a>], lang: Lang) -> Vec<String> {
    let is_single = keys.len() == 1;
    let has_runs = differ(keys, |key| key.run);
    let has_subjects = differ(keys, |key| key.subject.clone());
    // What a subject is its name says, and the report says what was started under it.
    let other_server = |key: &Key| {
        let mut keys = keys.iter();
        keys.any(|other| other.subject == key.subject && other.server != key.server)
    };
    let has_servers = is_single || keys.iter().any(other_server);
    let has_clients = is_single || differ(keys, |key| key.clients);
    let has_client_buffers = differ(keys, |key| key.client_buffer);
    let has_server_buffers = differ(keys, |key| key.server_buffer);
    let has_caches = differ(keys, |key| key.encoded_cache);
    let has_faults = differ(keys, |key| key.fault);
    let durability = |variant: &Variant<'a>| {
        let mut rows = variant.rows.iter();
        rows.find_map(|row| row.upload_durability())
    };
    let durabilities: BTreeSet<&str> = variants.iter().filter_map(durability).collect();
    let size = |bytes: Option<u64>| match bytes {
        Some(bytes) => lang.bytes(bytes),
        None => lang.text("variants.kernels").into(),
    };
    let label = |(key, variant): (&Key, &Variant<'a>)| {
        let mut parts = Vec::new();
        if has_runs {
            parts.push(run_label(variant.run, variants));
        }
        if let Some(subject) = key.subject.as_ref().filter(|_| has_subjects) {
            parts.push(subject.clone());
        }
        if has_servers {
            parts.push(say!(lang, "variants.server", value = key.server));
        }
        if has_clients {
            let value = key.clients.as_str();
            parts.push(say!(lang, "variants.clients", value));
        }
        if has_client_buffers {
            let size = size(key.client_buffer);
            parts.push(say!(lang, "variants.client_buffer", size));
        }
        if has_server_buffers {
            let size = size(key.server_buffer);
            parts.push(say!(lang, "variants.server_buffer", size));
        }
        if has_caches {
            parts.push(match key.encoded_cache {
                None => lang.text("variants.servers_cache").into(),
                Some(0) => lang.text("variants.no_cache").into(),
                Some(bytes) => say!(lang, "variants.cache", size = lang.bytes(bytes)),
            });
        }
        if let Some(value) = durability(variant).filter(|_| durabilities.len() > 1) {
            parts.push(say!(lang, "variants.durability", value));
        }
        if has_faults {
            parts.push(match key.fault {
                Fault::None => lang.text("variants.no_fault").into(),
                value => say!(lang, "variants.fault", value),
            });
        }
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
