//! The configuration file: the command line by another name. Each key of the TOML file is a flag without its
//! dashes, so that every setting has one name, one meaning and one default.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Args as _, Command};
use nix::fcntl::OFlag;
use toml::Value;

use crate::config::Settings;
use crate::words;

/// All settings with comments are a hundredth part of this.
const LEN_MAX: u64 = 1 << 20;

/// All settings as flags, and no other flag.
#[must_use]
pub fn settings() -> Command {
    Settings::augment_args(Command::new("settings").disable_help_flag(true))
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
#[expect(
    clippy::disallowed_methods,
    reason = "the configuration is not in the root that the store guards"
)]
fn read(path: &Path) -> io::Result<String> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                io::Error::other("there is no such file: name one that is there")
            }
            _ => error,
        })?;
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
    let command = settings();
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        // It shows the line, with a mark under what is wrong.
        let hint = error
            .span()
            .and_then(|span| unquoted(line_at(text, span.start), &command));
        format!("{error}{}", hint.unwrap_or_default())
    })?;
    let mut arguments = Vec::new();
    for (key, value) in table {
        let argument = setting(&key, &command).ok_or_else(|| unknown(&key, &value, &command))?;
        let takes_value = argument.get_action().takes_values();
        arguments.extend(argument_of(&key, &value, takes_value)?);
    }
    Ok(arguments)
}

fn setting<'a>(key: &str, command: &'a Command) -> Option<&'a Arg> {
    command
        .get_arguments()
        .find(|argument| argument.get_long() == Some(key))
}

fn line_at(text: &str, at: usize) -> &str {
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    text[start..].lines().next().unwrap_or_default()
}

/// What `line` should look like, if its mistake is a value that is neither a number nor in quotes.
fn unquoted(line: &str, command: &Command) -> Option<String> {
    let (key, value) = line.split_once('=')?;
    let (key, value) = (key.trim(), value.trim());
    let is_bare = |it: char| it.is_alphanumeric() || "-_./:".contains(it);
    if value.is_empty() || !value.chars().all(is_bare) {
        return None;
    }
    let argument = setting(key, command)?;
    let is_number = argument.get_value_names().is_some_and(|names| {
        names
            .iter()
            .any(|name| matches!(name.as_str(), "N" | "SECONDS"))
    });
    Some(match (argument.get_action().takes_values(), is_number) {
        (false, _) => format!("this is on or off: write {key} = true, or false\n"),
        (true, true) => format!("a number looks like this: {key} = 5\n"),
        (true, false) => format!("text stands in quotes: {key} = \"{value}\"\n"),
    })
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

fn unknown(key: &str, value: &Value, command: &Command) -> String {
    let hint = match (value, nearest(key, command)) {
        (Value::Table(_), _) => "settings stand by themselves, under no [heading]".to_owned(),
        (_, Some(near)) => format!("did you mean '{near}'?"),
        (_, None) => "a key is a flag of --help without its dashes".to_owned(),
    };
    format!("'{key}' is no setting: {hint}")
}

/// The setting that was probably meant: one with other separators, one that was cut or goes on, or else the one that clap
/// takes a mistyped flag for.
fn nearest(key: &str, command: &Command) -> Option<String> {
    let near = command
        .get_arguments()
        .filter_map(Arg::get_long)
        .find(|long| {
            long.replace('-', "_") == key || long.starts_with(key) || key.starts_with(long)
        });
    if let Some(near) = near {
        return Some(near.to_owned());
    }
    let typed = ["prefork-server".to_owned(), format!("--{key}")];
    let error = command.clone().try_get_matches_from(typed).err()?;
    match error.get(ContextKind::SuggestedArg) {
        Some(ContextValue::String(flag)) => Some(flag.trim_start_matches('-').to_owned()),
        _ => None,
    }
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

    /// Every setting, mistyped as fingers do: two letters exchanged, one left out, one doubled.
    #[test]
    fn a_misspelt_setting_gets_the_nearest_right_one() {
        let command = super::settings();
        let settings = command
            .get_arguments()
            .filter_map(clap::Arg::get_long)
            .filter(|long| long.len() > 4);
        for right in settings {
            let exchanged = format!(
                "{}{}{}{}",
                &right[..1],
                &right[2..3],
                &right[1..2],
                &right[3..]
            );
            let cut = format!("{}{}", &right[..2], &right[3..]);
            let doubled = format!("{}{}", &right[..3], &right[2..]);
            for wrong in [exchanged, cut, doubled] {
                if wrong == right {
                    continue;
                }
                let said = parse(&format!("{wrong} = 1\n")).unwrap_err();
                let want = format!("'{wrong}' is no setting: did you mean '{right}'?");
                assert_eq!(said, want);
            }
        }
    }

    #[test]
    fn a_value_without_quotes_is_shown_as_it_should_be() {
        let check = |text: &str, want: &str| {
            let said = parse(text).unwrap_err();
            assert!(said.ends_with(&format!("{want}\n")), "{text}: {said}");
        };
        check(
            "# my\nworkers = fuor\n",
            "a number looks like this: workers = 5",
        );
        check(
            "defer-accept = two\n",
            "a number looks like this: defer-accept = 5",
        );
        check(
            "bind = localhost:4000\n",
            "in quotes: bind = \"localhost:4000\"",
        );
        check("root = /srv/files\n", "in quotes: root = \"/srv/files\"");
        check(
            "read-only = yes\n",
            "on or off: write read-only = true, or false",
        );
        let said = parse("workers 5\n").unwrap_err();
        assert!(said.contains("key with no value"), "{said}");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let check = |text: &str, want: &str| {
            let said = parse(text).unwrap_err();
            assert!(said.contains(want), "{text}: {said}");
        };
        check("workers = \n", "line 1");
        check("port = 8080\n", "'port' is no setting: a key is a flag");
        check("[server]\nport = 1\n", "under no [heading]");
        check("head_timeout = '5s'\n", "did you mean 'head-timeout'?");
        check("config = 'another.toml'\n", "'config' is no setting");
        check("workers = true\n", "workers: write a number");
        check("workers = 1.5\n", "workers: write a number");
        check("exit-with-stdin = 'yes'\n", "true or false");
    }
}
