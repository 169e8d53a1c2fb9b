//! The files in `docs/examples` are true: every setting is there with its default, and the server takes them.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use clap::CommandFactory;
use prefork_server::Args;
use prefork_server::inside::config_file;
use tempfile::TempDir;

fn example(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/examples");
    folder.join(name)
}

fn check_config(path: &PathBuf) -> Output {
    Command::new(env!("CARGO_BIN_EXE_prefork-server"))
        .arg("--check-config")
        .arg("--config")
        .arg(path)
        .output()
        .unwrap()
}

/// The settings of the example, as `key = value`, whether they are in force or commented out.
fn settings(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .map(|line| line.strip_prefix('#').unwrap_or(line))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(|line| line.split_once(" = ").expect(line))
        .collect()
}

#[test]
fn the_configuration_has_every_setting_with_its_default() {
    let text = fs::read_to_string(example("server.toml")).unwrap();
    let settings = settings(&text);
    let mut wanted = Vec::new();
    for argument in config_file::settings().get_arguments() {
        let long = argument.get_long().unwrap();
        wanted.push(long.to_owned());
        let said = settings.iter().find(|(key, _)| *key == long);
        let (_, said) = said.unwrap_or_else(|| panic!("docs/examples/server.toml lacks '{long}'"));
        let default = argument.get_default_values().first();
        if let Some(default) = default.filter(|_| argument.get_action().takes_values()) {
            let default = default.to_str().unwrap();
            assert_eq!(said.trim_matches('"'), default, "the default of {long}");
        }
    }
    for (key, _) in settings {
        assert!(wanted.iter().any(|it| it == key), "'{key}' is no setting");
    }
}

#[test]
fn the_server_takes_the_configuration_as_it_is_and_with_every_setting_in_force() {
    let output = check_config(&example("server.toml"));
    assert!(output.status.success(), "{output:?}");

    let text = fs::read_to_string(example("server.toml")).unwrap();
    for (pool, foreign) in [("event", "set-aside"), ("process", "event-connections")] {
        let all: String = settings(&text)
            .iter()
            .filter(|(key, _)| *key != foreign)
            .map(|(key, value)| match *key {
                "pool" => format!("pool = '{pool}'\n"),
                _ => format!("{key} = {value}\n"),
            })
            .collect();
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("server.toml");
        fs::write(&path, &all).unwrap();
        let output = check_config(&path);
        assert!(output.status.success(), "{output:?}\n{all}");
    }
}

#[test]
fn the_unit_starts_what_there_is_with_flags_that_there_are() {
    let unit = fs::read_to_string(example("prefork-server.service")).unwrap();
    for want in [
        "Type=notify\n",
        "NotifyAccess=all\n",
        "ExecReload=/bin/kill -HUP $MAINPID\n",
        "--config /etc/prefork-server/server.toml",
    ] {
        assert!(unit.contains(want), "{want}");
    }
    let command = Args::command();
    let start = unit
        .lines()
        .find(|line| line.starts_with("ExecStart="))
        .unwrap();
    for flag in start.split(' ').filter_map(|word| word.strip_prefix("--")) {
        let is_known = command
            .get_arguments()
            .any(|it| it.get_long() == Some(flag));
        assert!(is_known, "--{flag}");
    }
    let socket = fs::read_to_string(example("prefork-server.socket")).unwrap();
    assert!(
        socket.contains("ListenStream=127.0.0.1:46666\n"),
        "{socket}"
    );
}

/// The value of a setting in the example configuration.
fn setting(key: &str) -> String {
    let text = fs::read_to_string(example("server.toml")).unwrap();
    let settings = settings(&text);
    let (_, value) = settings.iter().find(|(it, _)| *it == key).unwrap();
    value.trim_matches('"').to_owned()
}

#[test]
fn the_logs_of_the_configuration_can_be_written_under_the_unit_and_are_those_that_are_rotated() {
    let unit = fs::read_to_string(example("prefork-server.service")).unwrap();
    let signals = fs::read_to_string(example("../SIGNALS.md")).unwrap();
    let folder = unit
        .lines()
        .find_map(|line| line.strip_prefix("LogsDirectory="))
        .expect("the unit has a folder for logs");
    for key in ["access-log", "log-file"] {
        let file = setting(key);
        let rest = file.strip_prefix(&format!("/var/log/{folder}/"));
        assert!(rest.is_some_and(|name| name.ends_with(".log")), "{file}");
    }
    assert!(signals.contains(&format!("\n/var/log/{folder}/*.log {{\n")));
    let pidfile = setting("pidfile");
    assert!(unit.contains(&format!(" --pidfile {pidfile}\n")), "{unit}");
    assert!(signals.contains(&format!("kill -USR1 $(cat {pidfile})\n")));
    // Once for both files, not once for each.
    assert!(signals.contains("    sharedscripts\n    postrotate\n"));
}
