//! `--server-args`: read by the server's own parser before anything runs, so that a wrong one is not met in every row.

use clap::CommandFactory;
use clap::parser::ValueSource;
use prefork_server::{Args, Source};
use stress_data::matrix::{Cell, Plan, ServerPool};
use stress_data::measurement::{ServerChoice, Settings};

use crate::rig::own;

/// Flags of the server that the harness says itself, by their ids, and what to write instead.
const HARNESS_SAYS: [(&str, &str); 11] = [
    (
        "bind",
        "stress takes a free port of the loopback: leave it out",
    ),
    (
        "root",
        "each row has a folder of its own, made in --work-dir: leave it out",
    ),
    ("workers", "write stress --servers N"),
    ("pool", "write stress --server-pool POOL"),
    ("durability", "write stress --durability WHAT"),
    ("congestion", "write stress --congestion NAME"),
    ("receive_buffer", "write stress --server-buffer SIZE"),
    ("encoded_cache", "write stress --encoded-cache SIZE"),
    ("exit_with_stdin", "stress sets it itself: leave it out"),
    ("allow_root", "stress sets it itself: leave it out"),
    ("ready", "stress reads JSON: leave it out"),
];
/// Flags with which no server starts.
const NO_SERVER: [&str; 2] = ["check_config", "self_test"];

/// Whether our server can be started for every row of `plan` with the words that the user adds.
///
/// # Errors
/// What is wrong with them, and what to write instead.
pub(super) fn check(plan: &Plan, settings: &Settings) -> Result<(), String> {
    check_words(&settings.server_args, &[])
        .map_err(|message| format!("--server-args: {message}"))?;
    // What subjects of ours may differ in, unless it is an axis already.
    let is_axis = |is_set: fn(&Cell) -> bool| plan.cells.iter().any(is_set);
    let mut allowed = Vec::new();
    if !is_axis(|cell| cell.server_buffer.is_some()) {
        allowed.push("receive_buffer");
    }
    if !is_axis(|cell| cell.encoded_cache.is_some()) {
        allowed.push("encoded_cache");
    }
    for subject in &settings.subjects {
        check_words(&subject.server_args, &allowed)
            .map_err(|message| format!("--subject {}: {message}", subject.name))?;
    }
    let mut known: Vec<(Option<&str>, ServerPool)> = Vec::new();
    for cell in &plan.cells {
        let subject = cell.subject.as_deref();
        let key = (subject, cell.server_pool);
        let own = settings.of(cell);
        if own.server_args.is_empty() || own.server != ServerChoice::Own || known.contains(&key) {
            continue;
        }
        known.push(key);
        let whose = subject.map_or("--server-args".into(), |name| format!("--subject {name}"));
        let arguments = own::arguments(cell, &own).into_iter();
        let argv = std::iter::once("prefork-server".to_owned()).chain(arguments);
        let config = Source::new(argv.map(Into::into)).config();
        config.map_err(|message| {
            let pool = cell.server_pool.as_str();
            // The server calls the flag otherwise.
            let message = first_line(&message).replace(" --pool ", " --server-pool ");
            format!("{whose}: with --server-pool {pool}: {message}")
        })?;
    }
    Ok(())
}

/// What is wrong with the words by themselves, which may say what is `allowed` although the harness says it.
fn check_words(words: &[String], allowed: &[&str]) -> Result<(), String> {
    let argv = std::iter::once("prefork-server").chain(words.iter().map(String::as_str));
    let matches = Args::command()
        .try_get_matches_from(argv)
        .map_err(|error| match error.use_stderr() {
            true => first_line(&error.render().to_string()),
            false => "--help and --version are not settings: run prefork-server --help".into(),
        })?;
    let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let flag = |id: &str| format!("--{}", id.replace('_', "-"));
    if let Some((id, instead)) = HARNESS_SAYS
        .iter()
        .find(|(id, _)| is_typed(id) && !allowed.contains(id))
    {
        return Err(format!("{}: {instead}", flag(id)));
    }
    if let Some(id) = NO_SERVER.iter().find(|id| is_typed(id)) {
        return Err(format!("{}: it starts no server: leave it out", flag(id)));
    }
    match matches.subcommand_name() {
        Some(name) => Err(format!("{name}: it starts no server: leave it out")),
        None => Ok(()),
    }
}

/// Without the usage and the hints below it, which are about another program's command line.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
