//! Values of flags, with errors that say what to write instead.

use client::Congestion;
use stress_data::size;

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
