//! What was typed, and what it means.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::CommandFactory;
use clap::error::ErrorKind;
use stress_data::fault::Fault;
use stress_data::matrix::{Cell, Operation, Plan, Selection};
use stress_data::measurement::{ServerChoice, ServerCommand, Settings, server_settle};

use super::{RunArgs, ServerArgs, preset, server_args};
use crate::commands::Args;
use crate::run::request::{Request, Start};

/// Requests of each client in a list row: one listing is too short to measure.
const LIST_REQUESTS: u32 = 20;

/// What `args` mean; `argv` is kept as it was typed.
///
/// # Errors
/// Which flags do not go together, as clap reports it.
pub(in crate::commands) fn of(args: RunArgs, argv: &[OsString]) -> Result<Request, clap::Error> {
    let RunArgs {
        mut axes,
        mut measuring,
        server: serving,
        output,
    } = args;
    if output.dry_run && (output.resume.is_some() || output.rerun_failed) {
        let message = "--dry-run lists a plan and --resume or --rerun-failed goes on with one: leave one of them out";
        return Err(Args::command().error(ErrorKind::ArgumentConflict, message));
    }
    // Before a plan's own values: what they say of somebody else's server is a guess.
    let server = server(&serving)?;
    check_workers(&server, &axes.servers)?;
    let name = axes.plan;
    preset::fill_in(name, axes.quick, &mut axes, &mut measuring);
    let is_probed = server != ServerChoice::Own && serving.terminator.is_none();
    let settings = Settings {
        list_requests: measuring.requests.unwrap_or(LIST_REQUESTS),
        transfer_requests: measuring.requests.unwrap_or(1),
        timeout: measuring.timeout,
        verify: measuring.verify,
        seed: measuring.seed,
        durability: serving.durability,
        congestion: serving.congestion,
        terminator: serving.terminator.unwrap_or_else(|| "crlf".into()),
        server_settle: serving.server_settle.unwrap_or_else(server_settle),
        server_args: serving.server_args.unwrap_or_default().0,
        watch_memory: measuring.watch_memory,
        warm_memory: measuring.warm_memory,
        warmup: measuring.warmup,
        server,
    };
    let plan = Plan::new(&Selection {
        operations: axes.op,
        volumes: axes.size,
        clients: axes.clients,
        servers: axes.servers,
        client_pools: axes.client_pool,
        server_pools: axes.server_pool,
        client_buffers: axes.client_buffer,
        server_buffers: axes.server_buffer,
        encoded_caches: axes.encoded_cache,
        faults: axes.fault,
    });
    check_faults(&plan, &settings)?;
    server_args::check(&plan, &settings)
        .map_err(|message| Args::command().error(ErrorKind::ValueValidation, message))?;
    Ok(Request {
        plan,
        plan_name: name,
        repeats: measuring.repeat,
        order: measuring.order,
        settings,
        is_probed,
        keep_going: serving.keep_going,
        baseline: measuring.baseline,
        out: output.out,
        work_dir: output.work_dir,
        label: output.label,
        start: start(output.resume, output.rerun_failed),
        rerun_failed: output.rerun_failed,
        is_latest: true,
        budget: measuring.budget,
        progress: output.progress,
        command_line: typed(argv),
    })
}

fn start(resume: Option<Option<PathBuf>>, rerun_failed: bool) -> Start {
    match resume {
        Some(Some(run)) => Start::Resume(run),
        Some(None) => Start::ResumeNewest,
        None if rerun_failed => Start::ResumeNewest,
        // --fresh says so in so many words; it is what happens anyway.
        None => Start::Fresh,
    }
}

fn typed(argv: &[OsString]) -> Vec<String> {
    let words = argv.iter().map(|word| word.to_string_lossy().into_owned());
    words.collect()
}

/// Whose server `serving` asks for.
fn server(serving: &ServerArgs) -> Result<ServerChoice, clap::Error> {
    if let Some(address) = serving.target.clone() {
        return Ok(ServerChoice::Target {
            address,
            admin: serving.target_admin.clone(),
        });
    }
    let Some(command) = serving.server_cmd.clone() else {
        return Ok(ServerChoice::Own);
    };
    let needed = [
        ("{port}", serving.server_port.is_none()),
        ("{root}", serving.server_root.is_none()),
    ];
    let missing: Vec<&str> = needed
        .into_iter()
        .filter(|(word, is_needed)| *is_needed && !command.contains(word))
        .map(|(word, _)| word)
        .collect();
    if missing.is_empty() {
        return Ok(ServerChoice::Command(ServerCommand {
            command,
            cwd: serving.server_cwd.clone(),
            host: serving.server_host.clone(),
            port: serving.server_port,
            root: serving.server_root.clone(),
        }));
    }
    let message = format!(
        "--server-cmd: {} must stand in it, for the port to listen on and the folder to serve: 'python3 server.py --port {{port}} --workers {{workers}} --root {{root}}'. For a server that always takes the same, say which: --server-port N, --server-root DIR",
        missing.join(" and ")
    );
    Err(Args::command().error(ErrorKind::ValueValidation, message))
}

/// A server that is not told its number of workers has one: rows that say otherwise would be wrong. `servers` is
/// what was typed for --servers.
fn check_workers(server: &ServerChoice, servers: &[u32]) -> Result<(), clap::Error> {
    if server.is_told_workers() || servers.len() == 1 {
        return Ok(());
    }
    let message = match server {
        ServerChoice::Target { .. } => {
            "--target: how many workers the running server has is not known here: say it with one --servers N"
        }
        ServerChoice::Own | ServerChoice::Command(_) => {
            "--server-cmd: a command without {workers} has one number of workers: say it with one --servers N, or put {workers} into the command"
        }
    };
    Err(Args::command().error(ErrorKind::MissingRequiredArgument, message))
}

/// Faults that would do nothing are no faults.
fn check_faults(plan: &Plan, settings: &Settings) -> Result<(), clap::Error> {
    let has = |is_meant: fn(&Cell) -> bool| plan.cells.iter().any(is_meant);
    let is_foreign = settings.server != ServerChoice::Own;
    let message = match () {
        () if is_foreign && has(|cell| cell.fault == Fault::KillWorker) => {
            "--fault kill-worker: which processes are a foreign server's workers is not known; leave it out, or leave --server-cmd or --target out"
        }
        () if has(|cell| {
            matches!(cell.fault, Fault::SlowClient { .. }) && cell.operation == Operation::List
        }) =>
        {
            "--fault slow-client: a listing is too short to be slow; add --op download,upload"
        }
        () => return Ok(()),
    };
    Err(Args::command().error(ErrorKind::ArgumentConflict, message))
}
