//! Which rows are measured once more to be drawn, and what the server's access log says of that.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use stress_data::journal::Served;
use stress_data::matrix::{Cell, Operation};
use stress_data::measurement::{ServerChoice, Settings};

/// What `--timeline` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// No row.
    Nothing,
    /// The rows of these numbers.
    Rows(Vec<u32>),
}

/// The row of each operation that is drawn unless the user names others: the most volume, then the most clients, then the
/// most server workers of which there are fewer than clients, so that one sees who waits.
pub(crate) fn largest(cells: &[Cell]) -> Vec<u32> {
    let of = |operation: Operation| {
        let cells = cells.iter().rev();
        let cells = cells.filter(|cell| cell.operation == operation && cell.fault.is_none());
        let has_waiting = |cell: &Cell| cell.servers < cell.clients;
        let largest = cells.max_by_key(|it| (it.volume, it.clients, has_waiting(it), it.servers));
        largest.map(|cell| cell.number)
    };
    Operation::ALL.into_iter().filter_map(of).collect()
}

/// The access log of the server that a timeline is taken of.
#[derive(Debug)]
pub(super) struct AccessLog {
    path: PathBuf,
}

impl AccessLog {
    /// In the folder `work`, gone when dropped; with the settings of a server that writes it. None if the server is not ours,
    /// or has a log of the user's.
    pub(super) fn of(settings: &Settings, work: &Path) -> Option<(Self, Settings)> {
        let path = work.join("access.ndjson");
        let has_own = |word: &String| word.starts_with("--access-log");
        if settings.server != ServerChoice::Own || settings.server_args.iter().any(has_own) {
            return None;
        }
        let mut logging = settings.clone();
        let flags = ["--access-log".to_owned(), path.to_str()?.to_owned()];
        logging.server_args.extend(flags);
        Some((Self { path }, logging))
    }

    /// What it says of the requests of `operation`.
    pub(super) fn served(&self, operation: Operation) -> Vec<Served> {
        let text = fs::read_to_string(&self.path).unwrap_or_default();
        let lines = text.lines();
        let lines = lines.filter_map(|line| serde_json::from_str::<Line>(line).ok());
        lines.map(|line| line.served(operation)).collect()
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// What a line of an access log says that is drawn.
#[derive(Debug, Deserialize)]
struct Line {
    monotonic_ns: u64,
    name: Option<String>,
    bytes: u64,
    transfer_ms: f64,
    worker: u32,
}

impl Line {
    fn served(&self, operation: Operation) -> Served {
        // With three decimals it is a whole number of microseconds.
        let took_ns = (self.transfer_ms * 1e3).round() as u64 * 1_000;
        let name = self.name.as_deref();
        Served {
            worker: self.worker,
            client: name.and_then(|name| crate::corpus::client_of(name, operation)),
            began_ns: self.monotonic_ns.saturating_sub(took_ns),
            ended_ns: self.monotonic_ns,
            bytes: self.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use stress_data::matrix::{Plan, Selection};
    use stress_data::testing;

    use super::*;

    #[test]
    fn the_row_of_each_operation_is_drawn_in_which_most_is_moved_and_clients_wait() {
        let check = |selection: Selection, want: &[u32]| {
            assert_eq!(largest(&Plan::new(&selection).cells), want);
        };
        check(Selection::default(), &[26, 53, 80]);
        let servers = |servers: &[u32]| Selection {
            operations: vec![Operation::Upload],
            servers: servers.to_vec(),
            ..Selection::default()
        };
        check(servers(&[50]), &[54]);
        check(servers(&[1, 50]), &[52]);
        check(
            Selection {
                faults: vec!["kill-worker".parse().unwrap()],
                ..Selection::default()
            },
            &[],
        );
    }

    #[test]
    fn a_line_of_the_access_log_says_who_was_served_when() {
        let folder = tempfile::tempdir().unwrap();
        let (log, logging) = AccessLog::of(&testing::settings(), folder.path()).unwrap();
        assert_eq!(logging.server_args.len(), 2);
        let line = r#"{"monotonic_ns":9000123,"name":"u0003-1.bin","bytes":7,"transfer_ms":2.001,"worker":4,"pid":9}"#;
        fs::write(&logging.server_args[1], format!("{line}\nhalf a li")).unwrap();
        let served = Served {
            worker: 4,
            client: Some(3),
            began_ns: 6_999_123,
            ended_ns: 9_000_123,
            bytes: 7,
        };
        assert_eq!(log.served(Operation::Upload), [served]);
        drop(log);
        assert!(!folder.path().join("access.ndjson").exists());
        let foreign = Settings {
            server: testing::foreign("x {port} {root}"),
            ..testing::settings()
        };
        assert!(AccessLog::of(&foreign, folder.path()).is_none());
        assert!(AccessLog::of(&logging, folder.path()).is_none());
    }
}
