//! `stress baseline` and `--baseline`, with the real program.

use std::process::Command;

use stress_data::machine::Ceilings;

#[test]
fn ceilings_are_measured_between_two_processes_and_leave_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_stress"))
        .args(["baseline", "--json", "--work-dir"])
        .arg(folder.path())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let ceilings: Ceilings = serde_json::from_slice(&output.stdout).unwrap();
    let connections: Vec<u32> = ceilings
        .loopback
        .iter()
        .map(|loopback| loopback.connections)
        .collect();
    assert_eq!(connections, [1, 5, 50]);
    // How fast is the machine's business; that nothing passes in no time is ours.
    for loopback in &ceilings.loopback {
        assert!((1_000_000..1 << 40).contains(&loopback.wire_bytes_per_s));
    }
    assert!(ceilings.cache_write_bytes_per_s > 1_000_000);
    assert!(ceilings.cache_read_bytes_per_s > 1_000_000);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn every_row_of_a_run_with_ceilings_shows_its_fraction() {
    let out = tempfile::tempdir().unwrap();
    let cells = [
        "--size",
        "1M",
        "--clients",
        "5",
        "--servers",
        "5",
        "--progress",
        "none",
    ];
    let output = Command::new(env!("CARGO_BIN_EXE_stress"))
        .args(["--baseline", "--out"])
        .arg(out.path())
        .arg("--work-dir")
        .arg(out.path())
        .args(cells)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let run = out.path().join("latest");
    let mut table = csv::Reader::from_path(run.join("summary.csv")).unwrap();
    let rows: Vec<std::collections::HashMap<String, String>> =
        table.deserialize().map(Result::unwrap).collect();
    for row in &rows {
        let fraction = row["ceiling_fraction"].parse::<f64>();
        match row["operation"].as_str() {
            "list" => assert_eq!(row["ceiling_fraction"], "", "a list moves next to nothing"),
            _ => assert!(fraction.unwrap() > 0.0, "{row:?}"),
        }
    }
    let json = std::fs::read_to_string(run.join("run.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let loopback = &json["sessions"][0]["ceilings"]["loopback"];
    assert_eq!(loopback.as_array().unwrap().len(), 3, "{json}");
}
