//! What was run on what, and how to do it again.

use std::collections::BTreeSet;

use stress_data::journal::{Contents, Header, Session};
use stress_data::measurement::{Subject, Verify};
use stress_data::run::Run;
use stress_data::shell::quoted;

use super::{View, settings};
use crate::document::{Block, Fact, Section};
use crate::lang::Lang;
use crate::texts::say;
use crate::variants::{Foreign, foreign};

impl View<'_> {
    pub(super) fn subject(&self) -> Section {
        let lang = self.lang;
        let facts = |run: &Run| [machine_facts(&run.contents, lang), plan_facts(run, lang)];
        let blocks = match self.runs {
            [run] => {
                let facts = facts(run).map(Block::Facts).into_iter();
                facts.chain(settings::blocks(&run.contents, lang)).collect()
            }
            runs => {
                let of_all = runs.iter().map(|run| {
                    let settings = settings::facts(&run.contents, lang);
                    (run.name.as_str(), [facts(run).concat(), settings].concat())
                });
                settings::differences(&of_all.collect::<Vec<_>>(), lang)
            }
        };
        Section::new("subject", lang.text("subject.title"), blocks)
    }

    pub(super) fn reproduction(&self) -> Section {
        let lang = self.lang;
        let mut blocks = Vec::new();
        for run in self.runs {
            blocks.extend(self.run_heading(run));
            blocks.extend(steps(run, lang));
        }
        Section::new("reproduction", lang.text("subject.reproduction"), blocks)
    }
}

fn machine_facts(contents: &Contents, lang: Lang) -> Vec<Fact> {
    let fact = |key: &str, value: String| Fact::plain(lang.text(key), value);
    let machine = &contents.header.fingerprint.machine;
    let memory = lang.bytes(machine.memory_bytes);
    let mut facts = vec![
        fact("subject.processor", machine.cpu_model.clone()),
        fact("subject.processors_usable", lang.int(machine.cores)),
        fact("subject.memory", memory),
        Fact::plain("Kernel", &machine.kernel),
    ];
    if let Some(session) = contents.sessions.first() {
        facts.extend(session_facts(session, lang));
    }
    facts.extend(ceiling_facts(contents, lang));
    let ends = contents.ends.iter();
    if let Some(permille) = ends.filter_map(|end| end.cpu?.steal_permille()).max() {
        facts.push(fact("subject.steal", permille_text(permille, lang)));
    }
    facts
}

fn permille_text(permille: u64, lang: Lang) -> String {
    lang.percent(permille as f64 / 1e3)
}

/// What the machine can at most, if that was measured.
fn ceiling_facts(contents: &Contents, lang: Lang) -> Vec<Fact> {
    let mut sessions = contents.sessions.iter();
    let Some(ceilings) = sessions.find_map(|session| session.ceilings.as_ref()) else {
        return Vec::new();
    };
    let fact = |name: &str, rate| Fact::plain(name, lang.rate(rate));
    let loopback = ceilings.loopback.iter().map(|loopback| {
        let connections = lang.int(loopback.connections);
        let name = say!(lang, "subject.ceiling_loopback", connections);
        fact(&name, loopback.wire_bytes_per_s)
    });
    let writing = lang.text("subject.ceiling_page_cache_writing");
    let reading = lang.text("subject.ceiling_page_cache_reading");
    let mut facts: Vec<Fact> = loopback.collect();
    facts.push(fact(writing, ceilings.cache_write_bytes_per_s));
    facts.push(fact(reading, ceilings.cache_read_bytes_per_s));
    facts
}

fn session_facts(session: &Session, lang: Lang) -> Vec<Fact> {
    let fact = |key: &str, value: String| Fact::plain(lang.text(key), value);
    let system = session.work_file_system.clone();
    let mut facts = vec![fact("subject.file_system", system)];
    if let Some(name) = session.congestion_default.clone() {
        facts.push(fact("subject.kernels_congestion_control", name));
    }
    if let Some(load) = &session.load_before {
        let words = load.replace('.', lang.point());
        facts.push(fact("subject.load_average_before", words));
    }
    if let Some(permille) = session.busy_before_permille {
        let share = permille_text(permille, lang);
        facts.push(fact("subject.processors_in_use_before", share));
    }
    facts
}

fn plan_facts(run: &Run, lang: Lang) -> Vec<Fact> {
    let fact = |key: &str, value: String| Fact::plain(lang.text(key), value);
    let fingerprint = &run.contents.header.fingerprint;
    let settings = &fingerprint.settings;
    let rows = lang.int(fingerprint.cells.len() as u64);
    let all = lang.int(fingerprint.full_len);
    let planned = say!(lang, "subject.of_full_plan", rows, all);
    let transfers = lang.int(settings.transfer_requests);
    let lists = lang.int(settings.list_requests);
    let operations = say!(lang, "subject.operations", transfers, lists);
    let verified = lang.text(match settings.verify {
        Verify::Full => "subject.verified_and_read_back",
        Verify::Checksum => "subject.verified_by_checksum",
        Verify::Size => "subject.lengths_only",
        Verify::Off => "subject.complete_replies",
    });
    let mut facts = vec![
        fact("subject.rows", planned),
        fact("subject.samples_of_each", lang.int(fingerprint.repeats)),
        fact("subject.seed", settings.seed.to_string()),
        fact("subject.timeout", lang.set_time(settings.timeout)),
        fact("subject.verified", verified.into()),
        fact("subject.operations_of_each_client", operations),
    ];
    if let Some(session) = run.contents.sessions.first() {
        facts.push(fact(
            "subject.harness",
            format!("stress {}", session.version),
        ));
        facts.push(Fact::code("Commit", short_commit(&session.commit)));
    }
    if settings.warmup > 0 {
        facts.push(fact("subject.warm_up_samples", lang.int(settings.warmup)));
    }
    facts.extend(server_facts(run, lang));
    if !settings.server_args.is_empty() {
        let words = settings.server_args.iter().map(|word| quoted(word));
        let words = words.collect::<Vec<_>>().join(" ");
        facts.push(Fact::code(lang.text("subject.server_flags"), words));
    }
    facts
}

/// Its first characters, and whether the sources were changed; all of it stands where it can be copied.
fn short_commit(commit: &str) -> String {
    let (hash, changed) = match commit.strip_suffix("-dirty") {
        Some(hash) => (hash, "-dirty"),
        None => (commit, ""),
    };
    let short: String = hash.chars().take(12).collect();
    format!("{short}{changed}")
}

/// What served: each subject with what it was started with, or the only server.
fn server_facts(run: &Run, lang: Lang) -> Vec<Fact> {
    let settings = &run.contents.header.fingerprint.settings;
    let subject = |subject: &Subject| {
        let name = say!(lang, "subject.subject", name = subject.name);
        match foreign(&subject.server) {
            Some(foreign) => Fact::code(name, foreign.words()),
            None => {
                let words = ["prefork-server"].map(str::to_owned).into_iter();
                let words = words.chain(subject.server_args.iter().map(|word| quoted(word)));
                Fact::code(name, words.collect::<Vec<_>>().join(" "))
            }
        }
    };
    let subjects = settings.subjects.iter().map(subject);
    let server = match foreign(&settings.server) {
        Some(_) if !settings.subjects.is_empty() => None,
        Some(foreign) => {
            let name = lang.text(match foreign {
                Foreign::Command(_) => "subject.server_foreign",
                Foreign::Target(_) => "subject.server_that_ran_already",
            });
            Some(Fact::code(name, foreign.words()))
        }
        None => Some(own_server(run, lang)),
    };
    subjects.chain(server).collect()
}

fn own_server(run: &Run, lang: Lang) -> Fact {
    let samples = run.contents.samples.values();
    let readies = samples.filter_map(|sample| sample.measurement.ready.as_ref());
    let versions = readies.map(|ready| format!("prefork-server {}", ready.version));
    let versions = Vec::from_iter(BTreeSet::from_iter(versions)).join(", ");
    let words = match versions.as_str() {
        "" => lang.text("subject.never_ready"),
        versions => versions,
    };
    Fact::plain("Server", words)
}

fn steps(run: &Run, lang: Lang) -> Vec<Block> {
    let Header { fingerprint, .. } = &run.contents.header;
    let sessions = &run.contents.sessions;
    let mut lines = Vec::new();
    let commit = sessions.first().map_or("unknown", |it| &it.commit);
    match commit.strip_suffix("-dirty").unwrap_or(commit) {
        "unknown" => {}
        commit => lines.push(format!("git checkout {commit}")),
    }
    for session in sessions {
        let mut words = vec!["cargo run --release --bin stress".to_owned()];
        if session.command_line.len() > 1 {
            words.push("--".into());
        }
        words.extend(session.command_line.iter().skip(1).map(|word| quoted(word)));
        lines.push(words.join(" "));
    }
    let seed = fingerprint.settings.seed;
    let text = lines.join("\n");
    let is_shortened = text.contains('…');
    let mut blocks = vec![
        Block::Code(text),
        Block::paragraph(say!(lang, "subject.same_bytes_same_order", seed)),
    ];
    if is_shortened {
        blocks.push(Block::paragraph(lang.text("subject.folder_left_out")));
    }
    let bytes = lang.int(fingerprint.binary.bytes);
    let crc32 = &fingerprint.binary.crc32;
    let binary = say!(lang, "subject.binary", bytes, crc32);
    let facts = vec![
        Fact::plain(lang.text("subject.program"), binary),
        Fact::code(lang.text("subject.run"), &run.name),
    ];
    blocks.push(Block::Facts(facts));
    blocks
}
