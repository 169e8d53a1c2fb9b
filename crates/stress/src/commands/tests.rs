use std::time::Duration;

use clap::CommandFactory;
use stress_data::matrix::ServerPool;
use stress_data::measurement::{ServerChoice, Verify};

use super::*;
use crate::run::request::{Request, Start};

/// What these words after the program's name ask for.
pub(crate) fn parse(words: &[&str]) -> Result<Request, clap::Error> {
    let argv: Vec<OsString> = std::iter::once(&"stress")
        .chain(words)
        .map(Into::into)
        .collect();
    Args::try_parse_from(&argv).and_then(|args| run::of(args.run, &argv))
}

fn numbers(words: &[&str]) -> Vec<u32> {
    parse(words)
        .unwrap()
        .plan
        .cells
        .iter()
        .map(|cell| cell.number)
        .collect()
}

fn error(words: &[&str]) -> String {
    let error = parse(words).expect_err("usage");
    assert_eq!(error.exit_code(), 2, "{words:?}");
    error.to_string()
}

#[test]
fn the_command_line_is_consistent() {
    Args::command().debug_assert();
}

#[test]
fn what_help_explains_below_the_flags_fits_its_lines() {
    // Longer ones would be broken again, in the middle of a table; a paragraph may be.
    let width = 100;
    let command = Args::command();
    let commands = std::iter::once(&command).chain(command.get_subcommands());
    for command in commands {
        let below = command.get_after_help().map(ToString::to_string);
        let below = below.unwrap_or_default();
        for line in below.lines().filter(|line| line.starts_with(' ')) {
            assert!(
                line.chars().count() <= width,
                "{}: {line}",
                command.get_name()
            );
        }
    }
}

#[test]
fn without_flags_all_81_rows_are_measured_once() {
    let request = parse(&[]).unwrap();
    assert_eq!(request.plan.cells.len(), 81);
    assert_eq!(request.repeats, 1);
    assert_eq!(request.settings.list_requests, 20);
    assert_eq!(request.settings.transfer_requests, 1);
    assert_eq!(request.settings.timeout, Duration::from_mins(5));
    assert_eq!(request.settings.verify, Verify::Checksum);
    assert_eq!(request.settings.durability, "none");
    assert_eq!(request.settings.congestion, "auto");
    assert_eq!(request.settings.server, ServerChoice::Own);
    assert_eq!(request.start, Start::Fresh);
    assert_eq!(request.work_parent(), std::path::Path::new("results"));
}

#[test]
fn axes_take_comma_lists_and_their_other_names() {
    assert_eq!(
        numbers(&["--op", "upload", "--size", "50M", "--clients", "5"]),
        [40, 41, 42]
    );
    let pools = ["--client-pool", "process", "--server-pool", "thread"];
    assert_eq!(
        numbers(
            &[
                &[
                    "--op",
                    "upload",
                    "--size",
                    "50MiB",
                    "--clients",
                    "5",
                    "--servers",
                    "5"
                ],
                &pools[..]
            ]
            .concat()
        ),
        [41]
    );
    assert_eq!(numbers(&["--op", "download,upload"]).len(), 54);
    assert_eq!(
        numbers(&[
            "--op",
            "get",
            "--size",
            "10M",
            "--client-workers",
            "1",
            "--server-workers",
            "1,50"
        ]),
        [1, 3]
    );
    assert_eq!(numbers(&["--op", "list", "--op", "upload"]).len(), 54);
}

#[test]
fn buffers_and_faults_vary_slowest_and_the_numbering_of_81_stays() {
    let words = [
        "--fault",
        "silent-client:5,none,kill-worker",
        "--client-buffer",
        "64K,32K",
        "--server-buffer",
        "1M",
        "--encoded-cache",
        "0",
        "--op",
        "upload",
        "--clients",
        "5",
        "--servers",
        "1",
        "--size",
        "10M",
    ];
    let cells = parse(&words).unwrap().plan.cells;
    let seen: Vec<_> = cells
        .iter()
        .map(|cell| {
            let fault = cell.fault.to_string();
            (cell.number, fault, cell.client_buffer, cell.server_buffer)
        })
        .collect();
    let want = |block: u32, fault: &str, buffer: u64| {
        let number = 81 * block + 31;
        (number, fault.to_owned(), Some(buffer << 10), Some(1 << 20))
    };
    assert_eq!(
        seen,
        [
            want(0, "none", 32),
            want(1, "none", 64),
            want(2, "silent-client:5", 32),
            want(3, "silent-client:5", 64),
            want(4, "kill-worker", 32),
            want(5, "kill-worker", 64),
        ]
    );
}

#[test]
fn named_plans_are_axes_that_flags_change() {
    let len = |words: &[&str]| parse(words).unwrap().plan.cells.len();
    assert_eq!(len(&["--plan", "assignment"]), 216);
    assert_eq!(
        len(&["--plan", "assignment", "--client-pool", "thread"]),
        108
    );
    assert_eq!(len(&["--plan", "standard"]), 81);
    assert_eq!(len(&["--quick"]), 81);

    let models = parse(&["--plan", "models"]).unwrap();
    let pools = ServerPool::ALL.len();
    assert_eq!(models.plan.cells.len(), 4 * pools * 2);
    assert!(models.settings.watch_memory);
    assert_eq!(models.settings.transfer_requests, 5);
    let quick = parse(&["--plan", "models", "--quick", "--clients", "60"]).unwrap();
    assert_eq!(quick.plan.cells.len(), 4 * pools);
    let operations = quick.settings.transfer_requests * quick.plan.cells[0].clients;
    assert!(operations >= 100, "a p99 needs as many");
}

#[test]
fn requests_count_for_every_operation() {
    let settings = parse(&["--requests", "3"]).unwrap().settings;
    assert_eq!((settings.list_requests, settings.transfer_requests), (3, 3));
}

fn check_error(words: &[&str], parts: &[&str]) {
    let error = error(words);
    for part in parts {
        assert!(error.contains(part), "{words:?} lacks '{part}': {error}");
    }
}

#[test]
fn errors_about_faults_and_other_peoples_servers_say_what_to_write() {
    let check = check_error;
    let foreign = ["--server-cmd", "run {port} {workers} {root}"];
    check(
        &[&foreign[..], &["--fault", "kill-worker"]].concat(),
        &["--fault", "not known", "--server-cmd"],
    );
    check(
        &["--fault", "slow-client:1M"],
        &["--fault", "add --op download,upload"],
    );
    check(&["--fault", "explode"], &["--fault", "silent-client[:N]"]);
    check(&["--client-buffer", "2G"], &["--client-buffer", "1K to 1G"]);
    check(&["--warmup", "101"], &["--warmup", "100"]);
    check(
        &["--target", "10.0.0.2", "--servers", "5"],
        &["--target", "write HOST:PORT"],
    );
    let target = ["--target", "10.0.0.2:46666"];
    check(&target, &["--target", "one --servers N"]);
    check(
        &[&target[..], &["--servers", "1,5"]].concat(),
        &["--target", "one --servers N"],
    );
    check(
        &[&target[..], &["--server-pool", "event"]].concat(),
        &["--target", "--server-pool"],
    );
    check(&["--server-port", "80"], &["--server-cmd"]);
    check(
        &["--server-cmd", "run {root}"],
        &["{port} must stand in it", "--server-port N"],
    );
    check(
        &["--server-cmd", "run {workers} {root}", "--servers", "5"],
        &["{port} must stand in it", "--server-port N"],
    );
}

#[test]
fn a_server_that_is_not_told_its_workers_takes_one_number_of_them() {
    let fixed = ["--server-cmd", "run --workers 5 {port} {root}"];
    let more: [&[&str]; 7] = [
        &[],
        &["--servers", "1,5"],
        &["--servers", "1", "--servers", "5"],
        &["--plan", "assignment"],
        // Its five workers are the plan's word, not the user's.
        &["--plan", "models", "--quick", "--fault", "none"],
        &["--resume"],
        &["--dry-run"],
    ];
    for more in more {
        let words = [&fixed[..], more].concat();
        check_error(&words, &["--server-cmd", "--servers N", "put {workers}"]);
    }
    let one = parse(&[&fixed[..], &["--servers", "5"]].concat()).unwrap();
    assert!(one.plan.cells.iter().all(|cell| cell.servers == 5));
    let told = parse(&["--server-cmd", "run {workers} {port} {root}"]).unwrap();
    assert_eq!(told.plan.cells.len(), 81);
}

#[test]
fn what_our_server_would_refuse_or_the_harness_says_itself_is_refused_before_anything_runs() {
    let check = |words: &str, more: &[&str], part: &str| {
        let words = [&["--server-args", words][..], more].concat();
        check_error(&words, &["--server-args: ", part]);
    };
    check("--root /tmp", &[], "--root: each row has a folder");
    check("--bind 127.0.0.1:80", &[], "--bind: stress takes");
    check("--workers=3", &[], "--workers: write stress --servers N");
    check("--pool thread", &[], "--pool: write stress --server-pool");
    check("--durability full", &[], "--durability: write stress");
    check("--congestion reno", &[], "--congestion: write stress");
    check("--receive-buffer 1M", &[], "write stress --server-buffer");
    check("--exit-with-stdin", &[], "--exit-with-stdin: stress");
    check("--ready text", &[], "--ready: stress reads JSON");
    check("--nonsense", &[], "unexpected argument '--nonsense'");
    check("--head-timeout soon", &[], "invalid value 'soon'");
    check("--worker-timeout 1s", &[], "--worker-timeout 1s: workers");
    check("--config /nonexistent", &[], "--config /nonexistent: ");
    check("--check-config", &[], "it starts no server");
    check("--self-test --json", &[], "it starts no server");
    check("--help", &[], "are not settings");
    check("status /run/x", &[], "it starts no server");
    let events = "--event-connections 8";
    check(
        events,
        &[],
        "with --server-pool process: --event-connections 8",
    );
    let both = ["--server-pool", "event,thread"];
    check(events, &both, "with --server-pool thread");
    let settings = |words: &[&str]| parse(words).unwrap().settings.server_args;
    let event = ["--server-args", events, "--server-pool", "event"];
    assert_eq!(settings(&event), ["--event-connections", "8"]);
    let limits = "--head-timeout 2s --defer-accept 3 --log-level debug";
    assert_eq!(settings(&["--server-args", limits]).len(), 6);
}

#[test]
fn errors_name_the_flag_and_what_to_write_instead() {
    let check = check_error;
    check(&["--size", "5X"], &["--size", "invalid size '5X'", "50MiB"]);
    check(&["--op", "fetch"], &["--op", "download", "upload", "list"]);
    check(&["--clients", "0"], &["--clients", "from 1 to 1,000"]);
    check(&["--servers", "1,x"], &["--servers", "'x'", "whole number"]);
    check(&["--repeat", "0"], &["--repeat", "from 1 to 1,000"]);
    check(&["--requests", "1e6"], &["--requests", "1 to 100,000"]);
    check(&["--timeout", "soon"], &["--timeout", "500ms, 30s, 5m"]);
    check(&["--timeout", "0s"], &["--timeout", "the least is 1ms"]);
    check(
        &["--server-cmd", "run me"],
        &["--server-cmd", "{port} and {root}"],
    );
    check(
        &["--server-cmd", "run {port}"],
        &["--server-cmd", "{root} must stand in it"],
    );
    check(
        &["--server-cmd", "run 'it {port} {root}"],
        &["--server-cmd", "a quote in it is left open"],
    );
    check(
        &[
            "--server-cmd",
            "run {port} {root}",
            "--server-pool",
            "thread",
        ],
        &["--server-cmd", "--server-pool"],
    );
    check(&["--label", "../x"], &["--label", "folder's name"]);
    check(&["--congestion", "a b"], &["--congestion", "auto, system"]);
    check(
        &["--durability", "maybe"],
        &["--durability", "none, data, full"],
    );
    check(
        &["--verify", "maybe"],
        &["--verify", "full, checksum, size, off"],
    );
    check(
        &["--dry-run", "--resume"],
        &["--dry-run", "--resume", "leave one of them out"],
    );
    check(&["--frobnicate"], &["--frobnicate"]);
}

#[test]
fn resume_takes_a_run_or_the_newest() {
    assert_eq!(parse(&["--resume"]).unwrap().start, Start::ResumeNewest);
    assert_eq!(
        parse(&["--resume", "results/x"]).unwrap().start,
        Start::Resume("results/x".into())
    );
    assert_eq!(
        parse(&["--resume", "--json"]).unwrap().start,
        Start::ResumeNewest
    );
}

#[test]
fn the_command_to_go_on_is_the_command_of_the_start() {
    let check = |words: &[&str], want: &str| {
        assert_eq!(parse(words).unwrap().resume_command("results/x-run"), want);
    };
    check(&[], "stress --resume results/x-run");
    check(
        &["--op", "upload", "--resume"],
        "stress --op upload --resume results/x-run",
    );
    check(
        &["--resume", "old one", "--json"],
        "stress --json --resume results/x-run",
    );
    check(
        &["--resume=old", "--seed", "2"],
        "stress --seed 2 --resume results/x-run",
    );
    check(
        &["--server-cmd", "'my server' {port} {workers} {root}"],
        r"stress --server-cmd ''\''my server'\'' {port} {workers} {root}' --resume results/x-run",
    );
}

#[test]
fn a_value_that_is_none_is_told_what_one_looks_like() {
    let mut program = Args::command();
    program.build();
    let commands = program.get_subcommands().map(|command| {
        let name = command.get_name();
        // What must stand before a flag can be looked at.
        let needed = ["latest", "5"].into_iter();
        let len = command.get_positionals().count().min(2);
        let before: Vec<&str> = std::iter::once(name).chain(needed.take(len)).collect();
        (command, before)
    });
    let commands = std::iter::once((&program, Vec::new())).chain(commands);
    for (command, before) in commands {
        let flags = command
            .get_opts()
            .filter(|arg| arg.get_action().takes_values());
        for flag in flags {
            let typed = format!("--{}=fuor", flag.get_long().unwrap());
            let argv = ["stress"].into_iter().chain(before.clone());
            let Err(error) = Args::try_parse_from(argv.chain([typed.as_str()])) else {
                continue;
            };
            let said = error.to_string();
            assert!(!said.contains("invalid digit"), "{said}");
            assert!(!said.contains("invalid float"), "{said}");
        }
    }
    let said = Args::try_parse_from(["stress", "explain", "latest", "fuor"]).unwrap_err();
    let said = said.to_string();
    assert!(said.contains("write a whole number"), "{said}");
}

#[test]
fn the_encoded_cache_is_an_axis_and_left_to_the_server_otherwise() {
    let cells = |words: &[&str]| parse(words).unwrap().plan.cells;
    let caches: Vec<_> = cells(&["--encoded-cache", "512M,0", "--op", "list"])
        .iter()
        .map(|cell| (cell.number, cell.encoded_cache))
        .collect();
    assert_eq!(caches.len(), 54);
    assert_eq!(caches[0], (55, Some(0)));
    assert_eq!(caches[53], (162, Some(512 << 20)));
    let settings = crate::testing::settings();
    let started = |cell| crate::rig::own::arguments(cell, &settings).join(" ");
    let with = &cells(&["--encoded-cache", "1M"])[0];
    assert!(started(with).contains("--encoded-cache 1048576"));
    assert!(!started(&cells(&[])[0]).contains("--encoded-cache"));
    for words in [["--server-cmd", "x {port} {root}"], ["--target", "h:1"]] {
        assert!(parse(&[&words[..], &["--encoded-cache", "1M"]].concat()).is_err());
    }
    assert!(parse(&["--encoded-cache", "-1"]).is_err());
}
