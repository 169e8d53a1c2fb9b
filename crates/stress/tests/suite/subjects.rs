//! Several servers in one run: measured in turns, told apart in every output, and judged.

use std::fs;
use std::path::Path;

use serde_json::Value;
use stress_data::journal::Contents;
use tempfile::TempDir;

use super::commands::{measure, stderr, stdout, stress};
use super::support::{python, refused};

const EQUAL: [&str; 4] = [
    "--subject",
    "ours=ours",
    "--subject",
    "same=ours:--set-aside 0",
];

fn latest(out: &Path) -> Contents {
    Contents::read(&out.join("latest")).unwrap()
}

#[test]
fn subjects_take_turns_and_every_output_tells_them_apart() {
    let out = TempDir::new().unwrap();
    let measured = measure(
        out.path(),
        &[&EQUAL[..], &["--op", "download,list"]].concat(),
    );
    assert_eq!(measured.status.code(), Some(0), "{}", stderr(&measured));
    let table = stdout(&measured);
    assert!(table.contains("process server, subject same"), "{table}");
    assert!(table.contains("“same”"), "{table}");

    let contents = latest(out.path());
    let mut samples: Vec<_> = contents.samples.values().collect();
    samples.sort_by_key(|sample| sample.measurement.records[0].released_ns);
    assert_eq!(samples.len(), 2 * 2 * 3);
    let mut begins = 0;
    for pair in samples.chunks(2) {
        let [one, next] = [&pair[0].measurement, &pair[1].measurement];
        assert_eq!(one.repeat, next.repeat);
        assert!(one.cell.is_beside(&next.cell) && one.cell.number != next.cell.number);
        begins += usize::from(one.cell.subject.as_deref() == Some("ours"));
        let aside = |it: &stress_data::measurement::Measurement| {
            it.ready.as_ref().unwrap().settings.set_aside
        };
        let same = if one.cell.subject.as_deref() == Some("same") {
            one
        } else {
            next
        };
        assert_eq!(aside(same), Some(0));
    }
    assert_eq!(begins, 3, "each begins as often as the other");

    let read = |name: &str| fs::read_to_string(out.path().join("latest").join(name)).unwrap();
    let handed_in = read("table.csv");
    assert!(handed_in.lines().next().unwrap().ends_with(",Subject"));
    assert!(handed_in.lines().last().unwrap().ends_with(",same"));
    let report = read("report.md");
    assert!(report.contains("Subjects side by side"), "{report}");
    let shown = stress(out.path(), &["show", "--json"]);
    let rows: Vec<Value> = stdout(&shown)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let subjects: Vec<&str> = rows
        .iter()
        .map(|row| row["subject"].as_str().unwrap())
        .collect();
    assert_eq!(subjects, ["ours", "ours", "same", "same"]);
    assert_eq!(rows[0]["ratio"], Value::Null);
    let known = ["ratio_low", "ratio", "ratio_high"].map(|it| rows[2][it].as_f64().unwrap());
    assert!(known.is_sorted(), "{known:?}");
    check_judged(out.path());
}

/// What verify, compare, explain and rank say of the run.
fn check_judged(out: &Path) {
    let verified = stress(out, &["verify"]);
    assert_eq!(verified.status.code(), Some(0), "{}", stdout(&verified));

    let compared = stress(out, &["compare", "latest", "--json"]);
    assert!(
        [Some(0), Some(4)].contains(&compared.status.code()),
        "{}",
        stderr(&compared)
    );
    let json: Value = serde_json::from_slice(&compared.stdout).unwrap();
    let pair = &json;
    assert_eq!(
        (&pair["old"], &pair["new"]),
        (&"ours".into(), &"same".into())
    );
    assert_eq!(
        (&pair["is_one_run"], pair["rows"].as_array().unwrap().len()),
        (&true.into(), 2)
    );
    let strange = stress(
        out,
        &["compare", "latest", "--subject", "ours", "--subject", "x"],
    );
    assert_eq!(strange.status.code(), Some(2));
    assert!(stderr(&strange).contains("has no subject x: it has ours, same"));
    let explained = stdout(&stress(out, &["explain", "latest", "4"]));
    assert!(explained.contains("(subject same)"), "{explained}");

    let page = out.join("class.html");
    let words = ["rank", "latest", "--json", "-o", page.to_str().unwrap()];
    let ranked = stress(out, &words);
    assert_eq!(ranked.status.code(), Some(0), "{}", stderr(&ranked));
    let json: Value = serde_json::from_slice(&ranked.stdout).unwrap();
    assert_eq!(
        (&json["subject"], &json["place"]),
        (&"same".into(), &1.into())
    );
    assert!(fs::read_to_string(page).unwrap().contains("Ranked"));
    let named = stress(out, &["rank", "latest", "--reference", "x"]);
    assert_eq!(named.status.code(), Some(3));
    assert!(
        stdout(&named).contains("it has no subject x"),
        "{}",
        stdout(&named)
    );
}

#[test]
fn a_slow_subject_is_the_worse_one_and_a_run_goes_on_with_its_subjects() {
    let Some(python) = python() else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/alarms.py");
    let [plain, slow] = [("plain", 1), ("slow", 20)].map(|(name, factor)| {
        format!(
            "{name}={python} -S '{script}' --serve {factor} --port {{port}} --workers {{workers}} --root {{root}}"
        )
    });
    let out = TempDir::new().unwrap();
    let words = ["--op", "upload", "--subject", &plain, "--subject", &slow];
    // Six pairs are the fewest of which chance gives as much in 5 % of cases.
    let words = [&words[..], &["--clients", "1,2,3", "--repeat", "2"]].concat();
    let measured = measure(out.path(), &words);
    assert_eq!(measured.status.code(), Some(0), "{}", stderr(&measured));
    let table = stdout(&measured);
    assert!(table.contains("“slow” is slower than “plain”"), "{table}");
    let compared = stress(out.path(), &["compare", "latest"]);
    assert_eq!(compared.status.code(), Some(4), "{}", stdout(&compared));
    let said = stdout(&compared);
    assert!(said.contains("worse, by more than chance gives"), "{said}");
    assert!(!said.contains("one after the other"), "{said}");

    let resumed = out.path().join("latest").display().to_string();
    // Whatever was taken stays: the same command goes on, and has nothing to do.
    let again = measure(out.path(), &[&words[..], &["--resume", &resumed]].concat());
    assert_eq!(again.status.code(), Some(0), "{}", stderr(&again));
    assert_eq!(latest(out.path()).samples.len(), 12);
    let other = measure(out.path(), &["--op", "upload", "--resume", &resumed]);
    assert_eq!(other.status.code(), Some(2));
    assert!(stderr(&other).contains("subjects"), "{}", stderr(&other));
}

#[test]
fn a_subject_that_does_not_start_is_named_before_the_first_row() {
    let bad = "bad=sh -c 'echo no port {port} here >&2; exit 7' {root} {workers}";
    let said = refused(&["--subject", "ours=ours", "--subject", bad, "--quick"]);
    assert!(said.contains("--subject bad: "), "{said}");
    assert!(said.contains("exit status: 7"), "{said}");
}

#[test]
fn a_run_without_subjects_has_none_to_compare() {
    let out = TempDir::new().unwrap();
    let measured = measure(out.path(), &["--op", "list"]);
    assert_eq!(measured.status.code(), Some(0), "{}", stderr(&measured));
    let compared = stress(out.path(), &["compare", "latest"]);
    assert_eq!(compared.status.code(), Some(2));
    assert!(
        stderr(&compared).contains("has no subjects"),
        "{}",
        stderr(&compared)
    );
}
