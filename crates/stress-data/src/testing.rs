//! Made-up journals, for tests.

use std::time::Duration;

use proto::announce::{Ready, Sandbox, Settings as ServerSettings};

use crate::fingerprint::{Binary, Fingerprint};
use crate::journal::{Contents, Header, SCHEMA, Sample, Session};
use crate::machine::Machine;
use crate::matrix::{Cell, Operation, Plan, PlanName, Selection};
use crate::measurement::{Measurement, ServerChoice, ServerCommand, Settings, Status, Verify};
use crate::schedule::Order;

/// Those of a run without flags.
#[must_use]
pub fn settings() -> Settings {
    Settings {
        list_requests: 20,
        transfer_requests: 1,
        timeout: Duration::from_mins(5),
        verify: Verify::Checksum,
        seed: 1,
        durability: "none".into(),
        congestion: "auto".into(),
        terminator: "crlf".into(),
        server_settle: crate::measurement::server_settle(),
        server_args: Vec::new(),
        watch_memory: false,
        warm_memory: true,
        warmup: 0,
        server: ServerChoice::Own,
        subjects: Vec::new(),
    }
}

/// A foreign server that can be told everything.
#[must_use]
pub fn foreign(command: &str) -> ServerChoice {
    ServerChoice::Command(ServerCommand {
        command: command.into(),
        ..ServerCommand::default()
    })
}

/// A row of one client, number 1.
#[must_use]
pub fn cell(operation: Operation, volume: u64) -> Cell {
    let selection = Selection {
        operations: vec![operation],
        volumes: vec![volume],
        clients: vec![1],
        servers: vec![1],
        ..Selection::default()
    };
    Cell {
        number: 1,
        ..Plan::new(&selection).cells.swap_remove(0)
    }
}

/// The header of a run of what `selection` asks for.
#[must_use]
pub fn header(selection: &Selection, repeats: u32) -> Header {
    let plan = Plan::new(selection);
    Header {
        schema: SCHEMA,
        created_utc: "2026-11-24T04:00:00Z".into(),
        label: "run".into(),
        fingerprint: Fingerprint {
            plan: PlanName::Standard,
            cells: plan.cells,
            full_len: plan.full_len,
            repeats,
            order: Order::Interleaved,
            settings: settings(),
            server_cmd_crc32: None,
            binary: Binary {
                bytes: 3,
                crc32: "00000001".into(),
            },
            machine: Machine {
                cpu_model: "A CPU".into(),
                cores: 2,
                memory_bytes: 1 << 34,
                kernel: "Linux 6".into(),
            },
        },
    }
}

/// A journal that only has its header yet.
#[must_use]
pub fn contents(selection: &Selection, repeats: u32) -> Contents {
    Contents::new(header(selection, repeats))
}

/// The first session of a run.
#[must_use]
pub fn session() -> Session {
    Session {
        number: 0,
        started_utc: "2026-11-24T04:00:01Z".into(),
        command_line: vec!["stress".into()],
        version: "0.1.0".into(),
        commit: "unknown".into(),
        work_file_system: "ext4".into(),
        load_before: Some("0.10 0.20 0.30".into()),
        busy_before_permille: Some(10),
        congestion_default: Some("cubic".into()),
        ceilings: None,
    }
}

/// A sample of the cell at `index` of the plan, without records: all that books and orders of samples need.
#[must_use]
pub fn measurement(contents: &Contents, index: usize, repeat: u32, status: Status) -> Measurement {
    let cell = &contents.header.fingerprint.cells[index];
    Measurement::empty(cell, repeat, "2026-11-24T04:00:02Z".into(), status)
}

/// A sample of the first session that counts.
#[must_use]
pub const fn sample(measurement: Measurement) -> Sample {
    Sample {
        session: 0,
        is_warmup: false,
        cpu: None,
        wall_ns: None,
        measurement,
    }
}

/// What our server with five processes says when it is ready.
#[must_use]
pub fn ready() -> Ready {
    Ready {
        address: "127.0.0.1:1".into(),
        pid: 1,
        version: "0.1.0".into(),
        pool: "process".into(),
        workers: 5,
        worker_pids: vec![2, 3, 4, 5, 6],
        settings: ServerSettings {
            root: "/served".into(),
            root_file_system: "ext4".into(),
            durability: "none".into(),
            temporaries: "tmpfile".into(),
            read_only: false,
            congestion: "auto".into(),
            congestion_loopback: "reno".into(),
            congestion_other: "cubic".into(),
            backlog: 4_096,
            receive_buffer_bytes: None,
            event_connections: None,
            set_aside: None,
            defer_accept_s: None,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 30_000,
            rate_min_bytes_per_s: 4_096,
            rate_window_ms: 60_000,
            drain_timeout_ms: 30_000,
            retire_timeout_ms: 3_600_000,
            boot_timeout_ms: 10_000,
            worker_timeout_ms: 60_000,
            max_requests: None,
            upload_len_max: 4 << 30,
            head_len_max: 1_024,
            connections_per_address_max: None,
            min_free_bytes: 64 << 20,
            root_bytes_max: None,
            encoded_cache_bytes: None,
            access_log: None,
            log_file: None,
            accept_unterminated_ms: None,
            user: "www".into(),
            uid: 33,
            sandbox: Sandbox::default(),
            admin: None,
            metrics: None,
        },
    }
}

/// That no line of what `render` gives is wider than the terminal, whatever its width.
///
/// # Panics
/// If one is.
pub fn check_fits(render: impl Fn(screen::Screen) -> String) {
    for columns in 80..=200 {
        for line in render(screen::Screen::of_columns(columns)).lines() {
            let width = screen::width(line);
            assert!(width <= columns, "{width} > {columns}: {line}");
        }
    }
}
