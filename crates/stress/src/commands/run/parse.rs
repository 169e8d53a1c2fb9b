//! Values of flags, with errors that say what to write instead.

use std::time::Duration;

use stress_data::size::with_commas;

pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let longest = Duration::from_hours(24);
    match humantime::parse_duration(text) {
        // Below a millisecond it could not be told from none.
        Ok(time) if time.as_millis() == 0 => Err("the least is 1ms".into()),
        Ok(time) if time > longest => Err("the most is 24h".into()),
        Ok(time) => Ok(time),
        Err(_) => Err(format!("'{text}' is no time: write 500ms, 30s, 5m or 2h")),
    }
}

/// How long a server rests; 0s for not at all.
pub(super) fn settle(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(time) if time > Duration::from_mins(10) => Err("the most is 10m".into()),
        Ok(time) => Ok(time),
        Err(_) => Err(format!("'{text}' is no time: write 0s, 500ms or 5s")),
    }
}

/// A budget. Below the least there would be no time to measure anything beside what starting and ending take.
pub(super) fn budget(text: &str) -> Result<Duration, String> {
    let least = Duration::from_secs(5);
    let longest = Duration::from_hours(24 * 365);
    match humantime::parse_duration(text) {
        Ok(time) if time < least => Err("the least is 5s".into()),
        Ok(time) if time > longest => Err("the most is 365d".into()),
        Ok(time) => Ok(time),
        Err(_) => Err(format!("'{text}' is no time: write 90s, 45m or 2h")),
    }
}

/// A whole number from 1 to `most`.
pub(super) fn count(text: &str, most: u32) -> Result<u32, String> {
    match text.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(format!(
            "write a whole number from 1 to {}",
            with_commas(most.into())
        )),
    }
}

pub(super) fn congestion(text: &str) -> Result<String, String> {
    // TCP_CA_NAME_MAX of the kernel is 16, with the final zero.
    let is_name = (1..=15).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    if is_name {
        Ok(text.to_owned())
    } else {
        Err("write auto, system, or a name from /proc/sys/net/ipv4/tcp_available_congestion_control".into())
    }
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
