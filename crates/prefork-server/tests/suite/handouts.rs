//! `prefork-server completions` and `prefork-server man`.

#[path = "../../../cli-kit/tests/support/handouts.rs"]
mod common;

const PROGRAM: common::Program = common::Program(env!("CARGO_BIN_EXE_prefork-server"));

#[test]
fn bash_completes_what_it_may_be_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("server.toml"), "").unwrap();
    let check = |words: &[&str], want: &[&str]| {
        PROGRAM.check_completion(folder.path(), words, want);
    };
    check(&["--pool", ""], &["process", "thread", "event"]);
    check(
        &["--log-level", ""],
        &["error", "warn", "info", "debug", "trace"],
    );
    check(&["--sandbox", "r"], &["require"]);
    check(&["--config", "s"], &["server.toml"]);
    check(&["--workers", ""], &[]);
    // Nothing of the program's own: bash offers files then.
    check(&["status", ""], &[]);
    check(&["status", "--w"], &["--watch"]);
    check(&["completions", "z"], &["zsh"]);
}

#[test]
fn the_scripts_and_the_manual_are_printed_whole_or_not_at_all() {
    PROGRAM.check_scripts();
    PROGRAM.check_ends();
}

#[test]
fn the_manual_tells_every_flag_and_renders_without_a_warning() {
    PROGRAM.check_manual(&[
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "COMMANDS",
        "EXIT STATUS",
        "SIGNALS",
        "ENVIRONMENT",
        "FILES",
        "NOTES",
        "EXAMPLES",
        "SEE ALSO",
    ]);
    PROGRAM.check_rendering();
}
