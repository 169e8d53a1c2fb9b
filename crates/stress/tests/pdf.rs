//! The real program printing real runs: with the browser of this machine, and with scripts that behave as browsers
//! should not.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

/// How long anything may take here.
const LIMIT: Duration = Duration::from_secs(90);
/// What a browser that prints nothing but its mark does: its words are in `$@`.
const PRINT: &str = r#"for word; do case $word in --print-to-pdf=*) pdf=${word#*=} ;; esac; done"#;

/// A folder with a run of 81 rows without a sample, and one for the temporary files of what is started.
struct Scene {
    out: TempDir,
    run: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let out = tempfile::tempdir().unwrap();
        let run = out.path().join("20261124T040000Z-pdf");
        fs::create_dir(&run).unwrap();
        fs::create_dir(out.path().join("tmp")).unwrap();
        let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../results/20261124T192330Z-kept-all81/journal.ndjson.gz");
        let mut journal = String::new();
        let file = fs::File::open(kept).unwrap();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(file), &mut journal)
            .unwrap();
        // Its header and its session: a short report.
        let head: String = journal.split_inclusive('\n').take(2).collect();
        let file = fs::File::create(run.join("journal.ndjson.gz")).unwrap();
        let mut packer = GzEncoder::new(file, Compression::fast());
        packer.write_all(head.as_bytes()).unwrap();
        packer.finish().unwrap();
        Self { out, run }
    }

    /// A program that is given for a browser.
    fn browser(&self, script: &str) -> PathBuf {
        let path = self.out.path().join("browser");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn report(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stress"));
        command
            .arg("report")
            .arg(&self.run)
            .args(args)
            .env("TMPDIR", self.tmp());
        command
    }

    fn print_with(&self, script: &str) -> Output {
        let browser = self.browser(script);
        let args = ["--pdf", "--browser", browser.to_str().unwrap()];
        self.report(&args).output().unwrap()
    }

    fn tmp(&self) -> PathBuf {
        self.out.path().join("tmp")
    }

    fn pdf(&self) -> PathBuf {
        self.run.join("report.pdf")
    }

    /// Nothing of the browser is left: no page, no profile.
    fn check_is_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.tmp()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Says that a test proves nothing here. In CI that is a failure.
fn skip(test: &str, what_is_missing: &str) {
    assert!(
        std::env::var_os("CI").is_none(),
        "{test}: in CI nothing is skipped, and this machine lacks {what_is_missing}"
    );
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED {test}: this machine lacks {what_is_missing}"
    );
}

#[test]
fn a_report_is_printed_with_its_author_its_pages_numbers_and_no_path() {
    let test = "a_report_is_printed_with_its_author_its_pages_numbers_and_no_path";
    let scene = Scene::new();
    let args = ["--pdf", "--lang", "id", "--author", "Ani Wijaya"];
    let output = scene.report(&args).output().unwrap();
    let said = text(&output.stderr);
    if said.contains("there is no Chromium") {
        return skip(test, "a browser");
    }
    assert_eq!(output.status.code(), Some(0), "{said}");
    let named = text(&output.stdout);
    assert!(named.contains(scene.pdf().to_str().unwrap()), "{named}");
    assert!(fs::read(scene.pdf()).unwrap().starts_with(b"%PDF-"));
    scene.check_is_clean();
    let Ok(read) = Command::new("pdftotext")
        .args(["-layout", "-nopgbrk"])
        .arg(scene.pdf())
        .arg("-")
        .output()
    else {
        return skip(test, "pdftotext");
    };
    // It may or may not see the spaces around a slash.
    let words = text(&read.stdout).replace(" / ", "/");
    for part in ["Stress test server berkas multiproses", "Ani Wijaya", " 1/"] {
        assert!(words.contains(part), "{part}: {words}");
    }
    for part in ["file:", scene.out.path().to_str().unwrap(), "stress-pdf"] {
        assert!(!words.contains(part), "{part}: {words}");
    }
}

#[test]
fn without_a_browser_the_report_is_written_and_one_line_says_what_to_do() {
    let elsewhere = [
        "/snap/bin/chromium",
        "/mnt/c/Program Files",
        "/mnt/c/Program Files (x86)",
    ];
    if elsewhere.iter().any(|place| Path::new(place).exists()) {
        // Those are found whatever the PATH.
        return;
    }
    let scene = Scene::new();
    let output = scene
        .report(&["--pdf"])
        .env("PATH", scene.tmp())
        .output()
        .unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let line = said.lines().last().unwrap();
    for part in [
        "no Chromium, Chrome or Edge",
        "install",
        "--browser PATH",
        "report.html in any browser",
    ] {
        assert!(line.contains(part), "{part}: {said}");
    }
    assert!(scene.run.join("report.html").is_file());
    assert!(text(&output.stdout).contains("report.html"));
    assert!(!scene.pdf().exists());
}

#[test]
fn what_is_no_browser_is_refused_with_its_flag_and_the_report_is_written() {
    let scene = Scene::new();
    for (browser, part) in [
        (
            "/nonexistent/chromium",
            "--browser /nonexistent/chromium: there is no such file: name the file that starts",
        ),
        (scene.run.to_str().unwrap(), "it is not a program"),
    ] {
        let output = scene
            .report(&["--pdf", "--browser", browser])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = text(&output.stderr);
        assert!(said.contains(part), "{said}");
    }
    assert!(scene.run.join("report.html").is_file());
}

#[test]
fn a_browser_that_fails_is_quoted_and_the_last_pdf_stays() {
    let scene = Scene::new();
    let check = |script: &str, parts: &[&str]| {
        fs::write(scene.pdf(), "the last one").unwrap();
        let output = scene.print_with(script);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        let by_hand = "report.html can be printed from any browser by hand";
        for part in parts.iter().chain(&[by_hand, "named with --browser PATH"]) {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(fs::read_to_string(scene.pdf()).unwrap(), "the last one");
        scene.check_is_clean();
    };
    check(
        "echo 'cannot open display' >&2; exit 3",
        &["ended (exit status: 3) without a PDF; it wrote:\n  cannot open display"],
    );
    check(
        &format!("{PRINT}\nprintf '%%PDF-1.4 and' >\"$pdf\""),
        &["its PDF is not whole"],
    );
    check("kill -9 $$", &["ended (signal: 9"]);
    // With a process that outlives it.
    check("sleep 600 & exit 1", &["without a PDF"]);
}

#[test]
fn a_browser_that_cannot_have_its_sandbox_is_started_without_it() {
    let scene = Scene::new();
    let script = format!(
        "case \"$*\" in *--no-sandbox*) ;; *) echo 'No usable sandbox!' >&2; exit 1 ;; esac\n{PRINT}\n\
         printf '%%PDF-1.4\\n%%%%EOF\\n' >\"$pdf\""
    );
    let output = scene.print_with(&script);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(fs::read(scene.pdf()).unwrap(), b"%PDF-1.4\n%%EOF\n");
    scene.check_is_clean();
}

/// A browser that never ends, with a process of its own; its process group, once it runs.
fn print_without_end(scene: &Scene) -> (Child, Pid) {
    let file = scene.out.path().join("group");
    let script = format!(
        "sleep 600 &\necho $$ >'{0}.new'; mv '{0}.new' '{0}'\nwait",
        file.display()
    );
    let browser = scene.browser(&script);
    let stress = scene
        .report(&["--pdf", "--browser", browser.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the browser runs", || file.exists());
    let group: i32 = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    (stress, Pid::from_raw(group))
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not within {LIMIT:?}");
        std::thread::yield_now();
    }
}

#[test]
fn stopped_by_the_user_it_leaves_neither_the_browser_nor_its_profile() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let scene = Scene::new();
        let (mut stress, group) = print_without_end(&scene);
        // Twice, as an impatient user does.
        for _ in 0..2 {
            kill(Pid::from_raw(stress.id().cast_signed()), signal).unwrap();
        }
        assert_eq!(stress.wait().unwrap().code(), Some(130));
        assert!(killpg(group, None).is_err(), "the browser runs on");
        assert!(!scene.pdf().exists());
        scene.check_is_clean();
    }
}

#[test]
fn killed_it_takes_the_browser_with_it() {
    let scene = Scene::new();
    let (mut stress, group) = print_without_end(&scene);
    stress.kill().unwrap();
    stress.wait().unwrap();
    wait_until("the browser is gone", || killpg(group, None).is_err());
}
