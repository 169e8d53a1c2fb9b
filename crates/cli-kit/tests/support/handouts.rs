//! What the tests of all three programs ask of their completions and of their manual: the programs themselves are
//! run, and what they print is given to a shell and to a typesetter. (Included by those tests, with `#[path]`.)

use std::collections::BTreeSet;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Completes the words after the name; what a shell does with the candidates afterwards is left out.
const COMPLETE: &str = r#"
source <("$0" completions bash)
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
function=$(complete -p "$1")
function=${function#*-F }
compopt() { :; }
"${function%% *}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"#;

/// A program that was built, by its path.
pub(crate) struct Program(pub(crate) &'static str);

impl Program {
    fn name(&self) -> &str {
        Path::new(self.0).file_name().unwrap().to_str().unwrap()
    }

    fn prints(&self, args: &[&str]) -> String {
        let output = Command::new(self.0).args(args).output().unwrap();
        assert!(output.status.success(), "{args:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What bash offers for the last of `words`, in `folder`.
    #[track_caller]
    pub(crate) fn check_completion(&self, folder: &Path, words: &[&str], want: &[&str]) {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "--noprofile", "-c", COMPLETE, self.0, self.name()])
            .args(words)
            .current_dir(folder);
        let Some(output) = run(bash, "") else {
            return;
        };
        assert!(output.stderr.is_empty(), "{words:?}: {output:?}");
        let got = String::from_utf8(output.stdout).unwrap();
        let got: BTreeSet<&str> = got.lines().filter(|line| !line.is_empty()).collect();
        assert_eq!(got, want.iter().copied().collect(), "{words:?}");
    }

    /// Every shell gets a script, and every shell that is here takes it.
    pub(crate) fn check_scripts(&self) {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = self.prints(&["completions", shell]);
            assert!(script.contains(self.name()), "{shell}: {script}");
            if !matches!(shell, "bash" | "zsh" | "fish") {
                continue;
            }
            let mut command = Command::new(shell);
            command.arg("-n").arg("/dev/stdin");
            if let Some(output) = run(command, &script) {
                let is_well = output.status.success() && output.stderr.is_empty();
                assert!(is_well, "{shell}: {output:?}");
            }
        }
    }

    /// The manual has these sections, and under each command all flags that its help shows.
    pub(crate) fn check_manual(&self, sections: &[&str]) {
        let page = self.prints(&["man"]);
        let headings: Vec<String> = page
            .lines()
            .filter_map(|line| line.strip_prefix(".SH "))
            .map(|heading| heading.trim_matches('"').to_owned())
            .collect();
        assert_eq!(headings, sections);
        let (own, rest) = page.split_once(".SH COMMANDS\n").unwrap();
        let help = self.prints(&["--help"]);
        let flags = flags(&help);
        assert!(flags.len() > 5, "{help}");
        check_flags(&flags, own);
        let commands = commands(&help);
        assert!(commands.len() >= 3, "{help}");
        for command in commands {
            let heading = format!(".SS \"{} {command}", self.name());
            let at = rest.find(&heading).unwrap_or_else(|| panic!("{heading}"));
            let section = rest[at + 1..].split("\n.S").next().unwrap();
            // What is the whole program's stands above.
            let both = format!("{own}{section}");
            check_flags(&flags_of(&self.prints(&[command, "--help"])), &both);
        }
    }

    /// A typesetter has nothing to say against the page.
    pub(crate) fn check_rendering(&self) {
        let page = self.prints(&["man"]);
        assert!(page.is_ascii());
        let mut groff = Command::new("groff");
        groff.args(["-man", "-Tutf8", "-ww"]);
        if let Some(output) = run(groff, &page) {
            assert!(output.status.success(), "{output:?}");
            assert_eq!(String::from_utf8_lossy(&output.stderr), "");
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(text.contains(self.name()));
        }
        let mut mandoc = Command::new("mandoc");
        mandoc.args(["-T", "lint", "-W", "error"]);
        if let Some(output) = run(mandoc, &page) {
            assert_eq!(String::from_utf8_lossy(&output.stdout), "");
        }
    }

    /// Whoever closes the pipe has seen enough; a full disk is an error.
    pub(crate) fn check_ends(&self) {
        for args in [&["man"][..], &["completions", "bash"]] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let output = Command::new(self.0)
                .args(args)
                .stdout(writer)
                .stderr(Stdio::piped())
                .output()
                .unwrap();
            assert!(output.status.success(), "{args:?}: {output:?}");
            assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
            let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
            let output = Command::new(self.0)
                .args(args)
                .stdout(full.unwrap())
                .stderr(Stdio::piped())
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(
                said.starts_with("error: cannot write to standard output"),
                "{said}"
            );
        }
    }
}

/// Runs `command` with `input`; none, said loudly, if there is no such program here.
fn run(mut command: Command, input: &str) -> Option<Output> {
    let spawned = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match spawned {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!(
                "NOT TESTED with {:?}: it is not installed",
                command.get_program()
            );
            return None;
        }
        spawned => spawned.unwrap(),
    };
    let mut pipe = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || pipe.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    // A program that does not read to the end says why, in what is returned.
    let _ = writer.join().unwrap();
    Some(output)
}

/// The words of a help that start a line of flags: `-f, --flag <VALUE>`.
fn flags(help: &str) -> Vec<&str> {
    help.lines()
        .map(str::trim_start)
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| line.split(' ').find(|word| word.starts_with("--")))
        .map(|flag| flag.split(['=', '[']).next().unwrap())
        .collect()
}

/// Those of a command; the help of help is nothing to tell.
fn flags_of(help: &str) -> Vec<&str> {
    let mut flags = flags(help);
    flags.retain(|flag| *flag != "--help");
    flags
}

/// The commands that a help lists.
fn commands(help: &str) -> Vec<&str> {
    help.lines()
        .skip_while(|line| !line.starts_with("Commands"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|command| *command != "help")
        .collect()
}

#[track_caller]
fn check_flags(flags: &[&str], page: &str) {
    for flag in flags {
        let bold = format!("\\fB{}\\fR", flag.replace('-', "\\-"));
        assert!(page.contains(&bold), "{flag}: {page}");
    }
}
