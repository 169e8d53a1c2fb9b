//! `docs/GRADING.md` on sixty runs that were handed in: every command that it names, with the real program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use stress_data::journal::{self, Contents};
use stress_data::{derived, summary};
use tempfile::TempDir;

use crate::commands::{stderr, stdout, stress};

const GRADING: &str = include_str!("../../../../docs/GRADING.md");
const OLDER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../stress-data/fixtures/schema-1"
);

/// Sixty hand-ins in `class/`, each in a folder with its student's number. All but the copies have times of their own.
struct Class {
    top: TempDir,
}

/// The number of the `n`th student, and so the folder's name.
fn id(n: usize) -> String {
    format!("50252310{n:02}")
}

fn text_of(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn parsed(text: &str) -> Vec<Value> {
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The lines of a journal as another machine would have written them, which was a little faster: every interval between two
/// events of a sample is shorter by a share of its own.
fn measured_again(lines: &[Value], seed: u64) -> Vec<Value> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut lines = lines.to_vec();
    for line in &mut lines {
        let Some(records) = line.pointer_mut("/sample/measurement/records") else {
            continue;
        };
        let records = records.as_array_mut().expect("a list");
        const TIMES: [&str; 4] = ["started_ns", "connected_ns", "first_byte_ns", "ended_ns"];
        let mut times: Vec<u64> = records
            .iter()
            .flat_map(|record| TIMES.map(|time| record[time].as_u64()))
            .flatten()
            .collect();
        times.sort_unstable();
        times.dedup();
        let released = records[0]["released_ns"].as_u64().expect("a time");
        let (mut before, mut now) = (released, released);
        let mut moved = std::collections::BTreeMap::new();
        for time in times {
            // Xorshift: from 80 to 100 % of the interval.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            now += (time - before) * (800 + state % 200) / 1000;
            before = time;
            moved.insert(time, now);
        }
        for record in records {
            for time in TIMES {
                if let Some(at) = record[time].as_u64() {
                    record[time] = json!(moved[&at]);
                }
            }
        }
    }
    lines
}

impl Class {
    fn folder(&self, n: usize) -> PathBuf {
        self.top.path().join("class").join(id(n))
    }

    /// Hands in a run with this journal, and the tables that follow from it, under the `n`th student's name.
    fn hand_in(&self, n: usize, journal: &str) {
        let folder = self.folder(n);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(journal::FILE_NAME), journal).unwrap();
        let contents = Contents::read(&folder).unwrap();
        derived::write_all(&folder, &contents, &summary::rows(&contents)).unwrap();
        let submission = format!(
            "author = [\"Student {n:02}\"]\nstudent-id = [\"{}\"]\nclass = \"PROGJAR C\"\n",
            id(n)
        );
        fs::write(folder.join("submission.toml"), submission).unwrap();
    }

    fn journal(&self, n: usize) -> String {
        fs::read_to_string(self.folder(n).join(journal::FILE_NAME)).unwrap()
    }

    fn edit(&self, n: usize, file: &str, edit: impl FnOnce(String) -> String) {
        let path = self.folder(n).join(file);
        let before = fs::read_to_string(&path).unwrap();
        let after = edit(before.clone());
        assert_ne!(after, before, "{}", path.display());
        fs::write(path, after).unwrap();
    }

    fn new() -> Self {
        let top = TempDir::new().unwrap();
        let out = top.path().join("measured");
        fs::create_dir(&out).unwrap();
        let rows = "--op download,upload --size 100K --clients 1,3 --servers 2 --repeat 1 --timeline none --progress none --work-dir";
        let rows = rows.split(' ').chain([out.to_str().unwrap()]);
        let subjects = ["ours=ours", "mine=ours:--encoded-cache 0"];
        let subjects = subjects.iter().flat_map(|subject| ["--subject", subject]);
        let measured = stress(&out, &rows.chain(subjects).collect::<Vec<_>>());
        assert_eq!(measured.status.code(), Some(0), "{}", stderr(&measured));
        let base = fs::read_to_string(out.join("latest").join(journal::FILE_NAME)).unwrap();
        let base = parsed(&base);
        let older = journal::unpack(&Path::new(OLDER).join(journal::PACKED_NAME)).unwrap();
        let older = parsed(&String::from_utf8(older).unwrap());

        let class = Self { top };
        for n in 1..=60 {
            let lines = if (45..=50).contains(&n) {
                &older
            } else {
                &base
            };
            class.hand_in(n, &text_of(&measured_again(lines, n as u64)));
        }
        class.cheat(&base);
        class
    }

    /// What is wrong with the last ten.
    fn cheat(&self, base: &[Value]) {
        // The same under another name; with another clock; one sample of two others' runs.
        self.hand_in(51, &self.journal(3));
        let shifted = parsed(&self.journal(4))
            .into_iter()
            .map(|line| shifted(line, 1_000_000_007));
        self.hand_in(52, &text_of(&shifted.collect::<Vec<_>>()));
        let mut mixed = parsed(&self.journal(53));
        let stolen = parsed(&self.journal(5));
        mixed[2] = stolen[2].clone();
        self.hand_in(53, &text_of(&mixed));
        // Fewer rows: left out of the plan; not measured.
        let is_last = |cell: &Value| cell["operation"] == "upload" && cell["clients"] == 3;
        let is_kept = |line: &Value| {
            let cell = line.pointer("/sample/measurement/cell");
            !cell.is_some_and(is_last)
        };
        let mut fewer = measured_again(base, 54);
        let cells = fewer[0].pointer_mut("/header/fingerprint/cells").unwrap();
        cells.as_array_mut().unwrap().retain(|cell| !is_last(cell));
        fewer.retain(is_kept);
        self.hand_in(54, &text_of(&fewer));
        let mut cut = measured_again(base, 55);
        cut.retain(is_kept);
        self.hand_in(55, &text_of(&cut));
        // A better table, a better journal, no name, a name that is none, no journal.
        self.edit(56, "summary.csv", |text| text.replacen(",0.0", ",0.00", 1));
        self.edit(57, journal::FILE_NAME, |text| {
            text.replacen("\"outcome\":\"ok\"", "\"outcome\":\"eof\"", 1)
        });
        fs::remove_file(self.folder(58).join("submission.toml")).unwrap();
        self.edit(59, "submission.toml", |text| {
            text.replace("author = [", "author = ")
        });
        fs::remove_file(self.folder(60).join(journal::FILE_NAME)).unwrap();
    }

    /// A command of the document, with what a shell makes of it.
    fn run(&self, command: &str) -> Output {
        let program = Path::new(env!("CARGO_BIN_EXE_stress")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        let shell = shell
            .args(["-c", command])
            .current_dir(self.top.path())
            .env("PATH", path);
        shell.output().expect("sh runs")
    }
}

/// A line whose records and edges were made by another clock.
fn shifted(mut line: Value, by_ns: u64) -> Value {
    for edge in ["before", "after"] {
        let path = format!("/sample/measurement/edges/{edge}/at_ns");
        if let Some(at) = line.pointer_mut(&path) {
            *at = json!(at.as_u64().unwrap() + by_ns);
        }
    }
    if let Some(records) = line.pointer_mut("/sample/measurement/records") {
        for record in records.as_array_mut().unwrap() {
            for (key, value) in record.as_object_mut().unwrap() {
                if let (true, Some(at)) = (key.ends_with("_ns"), value.as_u64()) {
                    *value = json!(at + by_ns);
                }
            }
        }
    }
    line
}

/// The commands of the document, but for those that students measure with.
fn commands() -> Vec<&'static str> {
    let is_command = |line: &&str| line.starts_with("stress ") && !line.starts_with("stress -");
    let lines = GRADING.lines().filter(is_command);
    lines.map(|line| line.split("  ").next().unwrap()).collect()
}

#[test]
fn a_class_of_sixty_is_one_table_and_every_command_of_the_document_on_grading_runs_on_it() {
    let class = Class::new();
    check_table(&class);
    check_commands(&class);
}

fn check_commands(class: &Class) {
    let commands = commands();
    assert!(commands.len() >= 4, "{commands:?}");
    for command in commands {
        let output = class.run(command);
        let codes: &[i32] = match command.split(' ').nth(1).unwrap() {
            // Ten hand-ins are not as they should be.
            "verify" | "rank" => &[3],
            "recheck" => &[0, 4],
            _ => &[0],
        };
        let code = output.status.code().unwrap();
        assert!(
            codes.contains(&code),
            "{command}: {code}\n{}",
            stderr(&output)
        );
        assert!(!output.stdout.is_empty(), "{command}");
    }
}

fn check_table(class: &Class) {
    let output = class.run("stress verify class/* --json");
    let said: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let runs = said["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 60);
    for (n, run) in (1..).zip(runs) {
        let copies: Vec<&str> = run["copies_of"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it.as_str().unwrap())
            .collect();
        let original = match n {
            3..=5 => Some(n + 48),
            51..=53 => Some(n - 48),
            _ => None,
        };
        let folders = original.map(|n| format!("class/{}", id(n)));
        assert_eq!(copies, folders.as_slice(), "{n}");
        let is_verified = !matches!(n, 56 | 57 | 59 | 60);
        assert_eq!(run["is_verified"], is_verified, "{n}: {run}");
        let older = (45..=50).contains(&n).then_some(1);
        assert_eq!(run["older_schema"], json!(older), "{n}");
        let missing = run["missing"].as_array().unwrap().len();
        let asked_not_ok = match n {
            54 | 55 => 1,
            57 => 1,
            60 => 4,
            _ => 0,
        };
        assert_eq!(missing, asked_not_ok, "{n}: {run}");
        let name = !matches!(n, 58 | 59);
        assert_eq!(
            run["authors"],
            json!(name.then(|| format!("Student {n:02}")).as_slice()),
            "{n}"
        );
        assert_eq!(
            run["student_ids"],
            json!(name.then(|| id(n)).as_slice()),
            "{n}"
        );
    }

    let table = stdout(&class.run("stress verify class/*"));
    let line = |who: &str| {
        let lines: Vec<&str> = table.lines().filter(|line| line.starts_with(who)).collect();
        assert_eq!(lines.len(), 1, "{who}: {table}");
        lines[0].split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let (first, copy) = (id(1), id(51));
    let want = format!("Student 01 {first} yes 8 of 8 0 {first}");
    assert_eq!(line("Student 01 "), want);
    let want = format!("Student 51 {copy} yes 8 of 8 0 Student 03 {copy}");
    assert_eq!(line("Student 51 "), want);
    assert!(
        line("Student 45 ").contains("journal (schema 1)"),
        "{table}"
    );
    assert!(line("Student 56 ").contains(" NO "), "{table}");
    assert!(line(&id(58)).contains(" yes "), "{table}");
}
