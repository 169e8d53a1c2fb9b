//! The configuration file: the command line by another name. Each key of the TOML file is a flag without its
//! dashes, so that every setting has one name, one meaning and one default.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use clap::{ArgAction, CommandFactory};
use nix::fcntl::OFlag;
use toml::Value;

use crate::cli::Args;
use crate::words;

/// All settings with comments are a hundredth part of this.
const LEN_MAX: u64 = 1 << 20;

/// Flags that say what to do rather than how to serve.
const NOT_SETTINGS: [&str; 6] = [
    "config",
    "check-config",
    "self-test",
    "json",
    "help",
    "version",
];

/// Whether a flag, without its dashes, is a setting, and so a key of the file.
#[must_use]
pub fn is_setting(long: &str) -> bool {
    !NOT_SETTINGS.contains(&long)
}

/// The file as arguments, to stand before those that were typed, which override them.
///
/// # Errors
/// In words for a person: the file cannot be read, is no TOML, or has a key that is no setting.
pub fn arguments(path: &Path) -> Result<Vec<OsString>, String> {
    let text = read(path).map_err(|error| words::plain(&error))?;
    parse(&text)
}

/// The parent reads it too, at a reload, and must not be kept: neither by a pipe that nobody writes to nor by a file
/// without end.
fn read(path: &Path) -> io::Result<String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("this is no regular file"));
    }
    let mut text = String::new();
    file.take(LEN_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LEN_MAX {
        return Err(io::Error::other(
            "larger than a MiB: this is no configuration",
        ));
    }
    Ok(text)
}

fn parse(text: &str) -> Result<Vec<OsString>, String> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        // It shows the line, with a mark under what is wrong.
        error.to_string()
    })?;
    let command = Args::command();
    let mut arguments = Vec::new();
    for (key, value) in table {
        let argument = command
            .get_arguments()
            .filter(|argument| argument.get_long().is_some_and(is_setting))
            .find(|argument| argument.get_long() == Some(&key))
            .ok_or_else(|| unknown(&key, &command))?;
        let takes_value = !matches!(argument.get_action(), ArgAction::SetTrue);
        arguments.extend(argument_of(&key, &value, takes_value)?);
    }
    Ok(arguments)
}

fn argument_of(key: &str, value: &Value, takes_value: bool) -> Result<Option<OsString>, String> {
    let text = match (value, takes_value) {
        (Value::Boolean(is_on), false) => {
            return Ok(is_on.then(|| format!("--{key}").into()));
        }
        (_, false) => return Err(format!("{key}: this is on or off, true or false")),
        (Value::String(text), true) => text.clone(),
        (Value::Integer(number), true) => number.to_string(),
        (_, true) => {
            return Err(format!(
                "{key}: write a number, or in quotes what you would type after --{key}"
            ));
        }
    };
    Ok(Some(format!("--{key}={text}").into()))
}

fn unknown(key: &str, command: &clap::Command) -> String {
    let near = command
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .filter(|long| is_setting(long))
        .find(|long| {
            long.replace('-', "_") == key || long.starts_with(key) || key.starts_with(long)
        });
    let hint = near.map_or_else(
        || "a key is a flag of --help without its dashes".to_owned(),
        |near| format!("did you mean '{near}'?"),
    );
    format!("'{key}' is no setting: {hint}")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_file_is_read_as_the_arguments_it_stands_for() {
        let check = |text: &str, want: &[&str]| {
            let mut got = parse(text).unwrap();
            got.sort();
            assert_eq!(got, want, "{text}");
        };
        check("", &[]);
        check("# all defaults\n", &[]);
        check(
            "workers = 8\nbind = '0.0.0.0:46666'\nhead-timeout = \"5s\"\n",
            &["--bind=0.0.0.0:46666", "--head-timeout=5s", "--workers=8"],
        );
        check("exit-with-stdin = true\n", &["--exit-with-stdin"]);
        check("exit-with-stdin = false\n", &[]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let check = |text: &str, want: &str| {
            let said = parse(text).unwrap_err();
            assert!(said.contains(want), "{text}: {said}");
        };
        check("workers = \n", "line 1");
        check("wrokers = 8\n", "'wrokers' is no setting");
        check("head_timeout = '5s'\n", "did you mean 'head-timeout'?");
        check("config = 'another.toml'\n", "'config' is no setting");
        check("workers = true\n", "workers: write a number");
        check("workers = 1.5\n", "workers: write a number");
        check("exit-with-stdin = 'yes'\n", "true or false");
    }
}
