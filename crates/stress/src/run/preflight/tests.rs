use stress_data::measurement::ServerCommand;

use super::*;
use crate::testing;

const VOLUME: u64 = 100 << 20;

fn cell(operation: Operation) -> Cell {
    Cell {
        clients: 5,
        servers: 50,
        ..testing::cell(operation, VOLUME)
    }
}

#[test]
fn what_is_missing_is_said_with_both_amounts() {
    assert_eq!(lack("memory", 10, 10), None);
    let text = "not enough memory: 5.2 GB needed, 1.0 GB free";
    assert_eq!(
        lack("memory", 5_200_000_000, 1_000_000_000).as_deref(),
        Some(text)
    );
}

#[test]
fn the_disk_that_is_asked_for_space_is_the_one_that_is_written() {
    // In whole volumes: the rest is names, logs and tables.
    let needs = |operation, server: ServerChoice| -> Vec<(String, u64)> {
        let mut settings = testing::settings();
        settings.server = server;
        let needs = disk_needs(
            &cell(operation),
            &settings,
            Path::new("/work"),
            Path::new("/run"),
        );
        let path = |path: &Path| path.display().to_string();
        needs
            .into_iter()
            .map(|(_, place, bytes)| (path(place), bytes / VOLUME))
            .collect()
    };
    let check = |operation, server: &ServerChoice, want: &[(&str, u64)]| {
        let found = needs(operation, server.clone());
        let found: Vec<(&str, u64)> = found
            .iter()
            .map(|(path, it)| (path.as_str(), *it))
            .collect();
        assert_eq!(found, want, "{operation:?} {server:?}");
    };
    let told = testing::foreign("serve {port} {workers} {root}");
    for server in [&ServerChoice::Own, &told] {
        check(Operation::Upload, server, &[("/work", 5), ("/run", 0)]);
        check(Operation::Download, server, &[("/work", 1), ("/run", 0)]);
    }
    let fixed = ServerChoice::Command(ServerCommand {
        port: Some(80),
        root: Some("/theirs".into()),
        ..ServerCommand::default()
    });
    let all = |theirs, work| [("/theirs", theirs), ("/work", work), ("/run", 0)];
    check(Operation::Upload, &fixed, &all(5, 0));
    // The file is in the work directory, and its names in theirs.
    check(Operation::Download, &fixed, &all(0, 1));
    check(Operation::List, &fixed, &all(0, 0));
    let target = ServerChoice::Target {
        address: "10.0.0.2:80".into(),
        admin: None,
    };
    check(Operation::Upload, &target, &[("/work", 0), ("/run", 0)]);
}

#[test]
fn places_on_one_file_system_share_its_space() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let nowhere = Path::new("/nonexistent");
    let needs = [
        ("one", folder.path(), 10),
        ("two", inner.as_path(), 5),
        ("three", nowhere, 1),
    ];
    let found = disks(&needs);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].what, found[0].needed), ("one", 15));
    let proc = ("the kernel's", Path::new("/proc"), 1);
    assert_eq!(disks(&[needs[0], proc]).len(), 2);
}
