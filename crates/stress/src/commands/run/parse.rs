//! Values of flags, with errors that say what to write instead.

use client::Congestion;
use stress_data::measurement::{ServerChoice, ServerCommand, Subject};
use stress_data::size;

use crate::run::timeline::Wanted;

/// The journal keeps the words that were typed.
pub(super) fn congestion(text: &str) -> Result<String, String> {
    text.parse::<Congestion>().map(|_| text.to_owned())
}

pub(super) fn server_cmd(text: &str) -> Result<String, String> {
    match shlex::split(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("a quote in it is left open".into()),
    }
}

/// A subject's name heads a column.
const NAME_LEN_MAX: usize = 24;

/// `NAME=COMMAND`, `NAME=ours` or `NAME=ours:FLAGS`.
pub(super) fn subject(text: &str) -> Result<Subject, String> {
    let Some((name, command)) = text.split_once('=') else {
        return Err("write NAME=COMMAND, such as python='python3 server.py --port {port} --workers {workers} --root {root}', or NAME=ours for our server".into());
    };
    if label(name).is_err() || name.len() > NAME_LEN_MAX {
        return Err(format!(
            "'{name}' is no name: up to {NAME_LEN_MAX} letters, digits, '.', '_' and '-'"
        ));
    }
    let (server, server_args) = match command.strip_prefix("ours") {
        Some("") => (ServerChoice::Own, Vec::new()),
        Some(flags) if flags.starts_with(':') => (ServerChoice::Own, words(&flags[1..])?.0),
        _ => (ServerChoice::Command(foreign(command)?), Vec::new()),
    };
    Ok(Subject {
        name: name.to_owned(),
        server,
        server_args,
        terminator: None,
    })
}

fn foreign(command: &str) -> Result<ServerCommand, String> {
    let command = ServerCommand {
        command: server_cmd(command)?,
        ..ServerCommand::default()
    };
    let missing = missing_words(&command);
    match missing.is_empty() {
        true => Ok(command),
        false => Err(format!(
            "{missing} must stand in the command, for the port to listen on and the folder to serve; scripts/adapt.py starts a server that always takes the same"
        )),
    }
}

/// What has to stand in the command and does not: for what is not said otherwise.
pub(super) fn missing_words(command: &ServerCommand) -> String {
    let needed = [
        ("{port}", command.port.is_none()),
        ("{root}", command.root.is_none()),
    ];
    let missing: Vec<&str> = needed
        .into_iter()
        .filter(|(word, is_needed)| *is_needed && !command.command.contains(word))
        .map(|(word, _)| word)
        .collect();
    missing.join(" and ")
}

/// `HOST:PORT`, not looked up yet.
pub(super) fn target(text: &str) -> Result<String, String> {
    let is_whole = text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    match is_whole {
        true => Ok(text.to_owned()),
        false => Err("write HOST:PORT, such as 10.0.0.2:46666 or [::1]:46666".into()),
    }
}

/// A command line's words.
#[derive(Debug, Clone, Default)]
pub(super) struct Words(pub(super) Vec<String>);

pub(super) fn words(text: &str) -> Result<Words, String> {
    match shlex::split(text) {
        Some(words) => Ok(Words(words)),
        None => Err("a quote in it is left open".into()),
    }
}

/// A size, or 0 for none.
pub(super) fn cache(text: &str) -> Result<u64, String> {
    match text {
        "0" => Ok(0),
        text => size::parse(text),
    }
}

/// Row numbers, or none.
pub(super) fn timeline(text: &str) -> Result<Wanted, String> {
    let numbers: Result<Vec<u32>, _> = text.split(',').map(|it| it.trim().parse()).collect();
    match (text, numbers) {
        ("none", _) => Ok(Wanted::Nothing),
        (_, Ok(numbers)) => Ok(Wanted::Rows(numbers)),
        (_, Err(_)) => Err("write row numbers, such as 7,27, or none".into()),
    }
}

pub(super) fn label(text: &str) -> Result<String, String> {
    let is_word = (1..=64).contains(&text.len())
        && !text.starts_with('.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if is_word {
        Ok(text.to_owned())
    } else {
        Err("a label is part of a folder's name: up to 64 letters, digits, '.', '_' and '-'".into())
    }
}
