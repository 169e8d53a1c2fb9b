//! The real program, reporting on real runs of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;

fn stress(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
    command.args(args).output().expect("stress runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// Measures one row with small files.
fn measure(out: &Path, args: &[&str]) -> Output {
    let folder = out.to_str().unwrap();
    let fixed = [
        "--op",
        "download",
        "--size",
        "10K",
        "--clients",
        "2",
        "--servers",
        "1",
        "--out",
        folder,
        "--work-dir",
        folder,
        "--timeout",
        "30s",
    ];
    stress(&[&fixed[..], args].concat())
}

/// The folder of a run of one row with small files.
fn run(out: &Path, label: &str) -> PathBuf {
    let output = measure(out, &["--label", label]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    out.join(fs::read_link(out.join("latest")).unwrap())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_report_is_rendered_from_the_journal_alone_packed_or_not() {
    let out = tempfile::tempdir().unwrap();
    let run = run(out.path(), "once");
    let names = [
        "clients.csv",
        "report.html",
        "report.md",
        "run.json",
        "summary.csv",
        "table.csv",
        "table.xlsx",
    ];
    let take = || {
        names.map(|name| {
            let content = fs::read(run.join(name)).unwrap();
            fs::remove_file(run.join(name)).unwrap();
            content
        })
    };
    let written = take();
    let journal = fs::read(run.join("journal.ndjson")).unwrap();
    for is_packed in [false, true] {
        if is_packed {
            let file = fs::File::create(run.join("journal.ndjson.gz")).unwrap();
            let mut packer = GzEncoder::new(file, Compression::default());
            std::io::Write::write_all(&mut packer, &journal).unwrap();
            packer.finish().unwrap();
            fs::remove_file(run.join("journal.ndjson")).unwrap();
        }
        let output = stress(&["report", path(&run)]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let named = ["report.html", "report.md", "table.xlsx", "table.csv"];
        let lines = named.map(|name| format!("{}\n", run.join(name).display()));
        assert_eq!(text(&output.stdout), lines.concat());
        for ((name, before), after) in names.iter().zip(&written).zip(take()) {
            assert!(*before == after, "{name}, packed: {is_packed}");
        }
    }
}

#[test]
fn what_a_submission_must_contain_is_in_every_format() {
    let out = tempfile::tempdir().unwrap();
    let run = run(out.path(), "submission");
    let notes = out.path().join("notes.md");
    fs::write(&notes, "## Langkah\n\nSatu *dua* <b>tiga</b>.\n").unwrap();
    let capture = out.path().join("Layar.png");
    // The smallest PNG: one pixel.
    fs::write(&capture, include_bytes!("../pixel.png")).unwrap();
    let target = out.path().join("laporan");
    let mut args = vec![
        "report",
        path(&run),
        "--out",
        path(&target),
        "--lang",
        "id",
        "--author",
        "Ani & Budi",
    ];
    args.extend([
        "--student-id",
        "5025<1>",
        "--class",
        "C",
        "--repository",
        "https://example.org/x",
    ]);
    args.extend(["--notes", path(&notes), "--capture", path(&capture)]);
    let output = stress(&args);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let read = |name: &str| fs::read_to_string(target.join(name)).unwrap();
    let page = read("report.html");
    for part in [
        "<html lang=\"id\">",
        "Ani &amp; Budi (5025&lt;1&gt;)",
        "<a href=\"https://example.org/x\"",
        "Satu <em>dua</em> &lt;b&gt;tiga&lt;/b&gt;.",
        "<img src=\"data:image/png;base64,iVBORw0KGgo",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let markdown = read("report.md");
    for part in [
        "Ani \\& Budi (5025\\<1\\>)",
        "### Langkah",
        "![Layar](captures/01-layar.png)",
    ] {
        assert!(markdown.contains(part), "{part}");
    }
    assert_eq!(
        fs::read(target.join("captures/01-layar.png")).unwrap(),
        include_bytes!("../pixel.png")
    );
    assert!(read("table.csv").contains("1;Download;10K;2;1;0,"));
}

/// A run with a report in Indonesian that has all that a submission must contain.
fn handed_in(out: &Path, label: &str) -> PathBuf {
    let run = run(out, label);
    let notes = out.join("catatan.md");
    fs::write(&notes, "## Langkah\n\nSatu *dua*.\n").unwrap();
    let capture = out.join("Layar.png");
    fs::write(&capture, include_bytes!("../pixel.png")).unwrap();
    report(&[
        path(&run),
        "--lang",
        "id",
        "--author",
        "Ani",
        "--student-id",
        "5025",
        "--class",
        "C",
        "--notes",
        path(&notes),
        "--capture",
        path(&capture),
    ]);
    // What is remembered needs nothing of where it came from.
    fs::remove_file(notes).unwrap();
    fs::remove_file(capture).unwrap();
    run
}

fn report(args: &[&str]) -> Output {
    let output = stress(&[&["report"], args].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    output
}

/// What of a submission is in the page of `folder`, by a word of each.
fn submitted(folder: &Path) -> Vec<&'static str> {
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    let words = [
        ("id", "lang=\"id\""),
        ("author", "Ani"),
        ("student-id", "(5025)"),
        ("class", "<dd>C</dd>"),
        ("notes", "Satu <em>dua</em>"),
        ("capture", "data:image/png;base64"),
    ];
    let found = words.iter().filter(|(_, word)| page.contains(word));
    found.map(|(name, _)| *name).collect()
}

const ALL: [&str; 6] = ["id", "author", "student-id", "class", "notes", "capture"];

#[test]
fn a_submission_is_remembered_until_a_flag_changes_it() {
    let out = tempfile::tempdir().unwrap();
    let run = handed_in(out.path(), "kept");
    assert_eq!(submitted(&run), ALL);
    // As the README has it: the report once more, without its flags.
    let output = report(&[path(&run)]);
    assert_eq!(submitted(&run), ALL);
    let said = text(&output.stderr);
    assert!(
        said.contains(&format!("report on {}\n", path(&run))),
        "{said}"
    );
    assert!(
        said.contains(
            "submission.toml: in Indonesian; Author: Ani (5025); Class: C; notes; 1 screenshot"
        ),
        "{said}"
    );
    assert!(
        fs::read_to_string(run.join("table.csv"))
            .unwrap()
            .contains(';')
    );
    let memory = fs::read_to_string(run.join("submission.toml")).unwrap();
    assert!(!memory.contains(path(out.path())), "{memory}");
    // One value, and nothing else.
    report(&[path(&run), "--class", "D"]);
    assert_eq!(
        submitted(&run),
        ["id", "author", "student-id", "notes", "capture"]
    );
    report(&[path(&run), "--lang", "en", "--class", "C"]);
    assert_eq!(submitted(&run), &ALL[1..]);
    report(&[path(&run), "--forget=notes,lang", "--forget=student-id"]);
    assert_eq!(submitted(&run), ["author", "class", "capture"]);
    report(&[path(&run), "--forget", "--lang", "id"]);
    assert_eq!(submitted(&run), ["id"]);
    report(&[path(&run)]);
    assert_eq!(submitted(&run), ["id"]);
    let output = stress(&["verify", path(&run)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn a_report_elsewhere_takes_a_submission_over_and_keeps_its_own() {
    let out = tempfile::tempdir().unwrap();
    let run = handed_in(out.path(), "one");
    let target = out.path().join("laporan");
    report(&[path(&run), "--out", path(&target), "--class", "E"]);
    let without_class = ["id", "author", "student-id", "notes", "capture"];
    assert_eq!(submitted(&target), without_class);
    // What the run's folder remembers is left alone, and no longer asked.
    report(&[path(&run), "--forget", "--author", "Budi"]);
    assert_eq!(submitted(&run), [""; 0]);
    report(&[path(&run), "--out", path(&target)]);
    assert_eq!(submitted(&target), without_class);
    assert!(target.join("captures/01-layar.png").is_file());
    // Several runs have no folder of their own.
    let both = out.path().join("both");
    let two = self::run(out.path(), "two");
    report(&[
        path(&run),
        path(&two),
        "--out",
        path(&both),
        "--author",
        "Ani",
    ]);
    report(&[path(&run), path(&two), "--out", path(&both)]);
    assert_eq!(submitted(&both), ["author"]);
}

#[test]
fn a_run_that_goes_on_keeps_what_was_to_be_handed_in() {
    let out = tempfile::tempdir().unwrap();
    let run = handed_in(out.path(), "resumed");
    let journal = fs::read_to_string(run.join("journal.ndjson")).unwrap();
    let kept: Vec<&str> = journal.split_inclusive('\n').take(2).collect();
    fs::write(run.join("journal.ndjson"), kept.concat()).unwrap();
    fs::write(run.join("report.pdf"), "printed before").unwrap();
    let output = measure(out.path(), &["--resume", path(&run)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(submitted(&run), ALL);
    let said = text(&output.stderr);
    assert!(
        said.contains("report.pdf is the one of an earlier report: --pdf prints it anew"),
        "{said}"
    );
}

#[test]
fn what_is_remembered_wrongly_is_said_with_its_line_and_can_be_forgotten() {
    let out = tempfile::tempdir().unwrap();
    let run = handed_in(out.path(), "broken");
    let memory = run.join("submission.toml");
    let before = fs::read_to_string(&memory).unwrap();
    fs::write(&memory, before.replace("lang = \"id\"", "lang = \"fr\"")).unwrap();
    let page = fs::read(run.join("report.html")).unwrap();
    let output = stress(&["report", path(&run)]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    for part in [path(&memory), "line 3: unknown variant `fr`", "--forget"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(fs::read(run.join("report.html")).unwrap() == page);
    report(&[path(&run), "--forget"]);
    assert_eq!(submitted(&run), [""; 0]);
}

#[test]
fn several_runs_come_side_by_side_into_a_folder_of_their_own() {
    let out = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|label| run(out.path(), label));
    let output = stress(&["report", path(&one), path(&two)]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("--out DIR"),
        "{}",
        text(&output.stderr)
    );
    let target = out.path().join("both");
    let output = stress(&["report", path(&one), path(&two), "--out", path(&target)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let markdown = fs::read_to_string(target.join("report.md")).unwrap();
    assert!(markdown.contains("“two” against “one”"), "{markdown}");
    for run in [&one, &two] {
        let name = run.file_name().unwrap().to_str().unwrap();
        assert!(target.join(format!("table-{name}.csv")).is_file(), "{name}");
    }
    assert!(!target.join("summary.csv").exists());
}

#[test]
fn what_cannot_be_reported_says_what_to_do_and_exits_2() {
    let out = tempfile::tempdir().unwrap();
    let run = run(out.path(), "wrong");
    let check = |args: &[&str], part: &str| {
        let output = stress(&[&["report"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let said = text(&output.stderr);
        assert!(said.contains(part), "{args:?}: {said}");
    };
    check(&["/nonexistent"], "there is no run in /nonexistent");
    check(&[path(&run), path(&run)], "is named twice");
    check(
        &[path(&run), "--notes", "/nonexistent"],
        "--notes /nonexistent",
    );
    check(&[path(&run), "--capture", path(&run)], "it is not a file");
    check(&[path(&run), "--student-id", "1"], "--author");
    check(
        &[path(&run), "--forget=pages"],
        "possible values: all, author",
    );
    check(&[path(&run), "--author", " "], "it is empty");
    check(&[path(&run), "--lang", "fr"], "[possible values: en, id]");
}

#[test]
fn a_report_can_be_made_of_a_run_that_was_stopped() {
    let out = tempfile::tempdir().unwrap();
    let run = run(out.path(), "stopped");
    let journal = fs::read_to_string(run.join("journal.ndjson")).unwrap();
    // As a kill in the middle of the first sample leaves it: a header, a session, and half a line.
    let kept: Vec<&str> = journal.split_inclusive('\n').take(2).collect();
    fs::write(
        run.join("journal.ndjson"),
        format!("{}{{\"sam", kept.concat()),
    )
    .unwrap();
    let output = stress(&["report", path(&run)]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let page = fs::read_to_string(run.join("report.html")).unwrap();
    assert!(page.contains("not_run"), "{page}");
}
