//! What was typed, and what it means.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::CommandFactory;
use clap::error::ErrorKind;
use stress_data::fault::Fault;
use stress_data::matrix::{Cell, Operation, Plan, Selection};
use stress_data::measurement::{ServerChoice, ServerCommand, Settings, server_settle};

use super::{AxisArgs, RunArgs, ServerArgs, parse, preset, server_args, subjects};
use crate::commands::Args;
use crate::run::request::{Request, Start};
use crate::run::timeline::{self, Wanted};

/// Rounds in which subjects are measured: fewer would tell nothing of what differs between them.
const SUBJECT_REPEATS: u32 = 3;
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
    check_subjects(&server, &serving, &axes)?;
    let repeats = measuring
        .repeat
        .unwrap_or(match serving.subject.is_empty() {
            true => 1,
            false => SUBJECT_REPEATS,
        });
    let name = axes.plan;
    preset::fill_in(name, axes.quick, &mut axes, &mut measuring);
    let mut others = serving.subject.iter().map(|it| &it.server);
    let has_foreign = server != ServerChoice::Own || others.any(|it| *it != ServerChoice::Own);
    let is_probed = has_foreign && serving.terminator.is_none();
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
        subjects: serving.subject,
    };
    let plan = Plan::new(&selection(axes, &settings));
    check_faults(&plan, &settings)?;
    server_args::check(&plan, &settings)
        .map_err(|message| Args::command().error(ErrorKind::ValueValidation, message))?;
    let timelines = timelines(measuring.timeline, &plan)?;
    Ok(Request {
        plan,
        timelines,
        plan_name: name,
        repeats,
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

fn selection(axes: AxisArgs, settings: &Settings) -> Selection {
    let subjects = settings.subjects.iter();
    Selection {
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
        subjects: subjects.map(|subject| subject.name.clone()).collect(),
    }
}

/// Whether each server that is asked for can be measured in all rows, and beside the others.
fn check_subjects(
    server: &ServerChoice,
    serving: &ServerArgs,
    axes: &AxisArgs,
) -> Result<(), clap::Error> {
    if serving.subject.is_empty() {
        return check_workers(server, None, &axes.servers);
    }
    subjects::check(serving, axes)
        .map_err(|message| Args::command().error(ErrorKind::ArgumentConflict, message))?;
    let mut subjects = serving.subject.iter();
    subjects.try_for_each(|it| check_workers(&it.server, Some(&it.name), &axes.servers))
}

/// The rows that `wanted` names, each in the plan and without a fault: what is done to a server is not in its access log.
fn timelines(wanted: Option<Wanted>, plan: &Plan) -> Result<Vec<u32>, clap::Error> {
    let numbers = match wanted {
        None => return Ok(timeline::largest(&plan.cells)),
        Some(Wanted::Nothing) => return Ok(Vec::new()),
        Some(Wanted::Rows(numbers)) => numbers,
    };
    let is_strange = |number: &&u32| {
        let mut cells = plan.cells.iter();
        !cells.any(|cell| cell.number == **number && cell.fault.is_none())
    };
    match numbers.iter().find(is_strange) {
        None => Ok(numbers),
        Some(number) => {
            let message = format!(
                "--timeline: row {number} is not in this run, or has a fault: --dry-run lists the rows"
            );
            Err(Args::command().error(ErrorKind::ValueValidation, message))
        }
    }
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

/// Whose server `serving` asks for; of several subjects that of the first.
fn server(serving: &ServerArgs) -> Result<ServerChoice, clap::Error> {
    if let Some(first) = serving.subject.first() {
        return Ok(first.server.clone());
    }
    if let Some(address) = serving.target.clone() {
        return Ok(ServerChoice::Target {
            address,
            admin: serving.target_admin.clone(),
        });
    }
    let Some(command) = serving.server_cmd.clone() else {
        return Ok(ServerChoice::Own);
    };
    let command = ServerCommand {
        command,
        cwd: serving.server_cwd.clone(),
        host: serving.server_host.clone(),
        port: serving.server_port,
        root: serving.server_root.clone(),
    };
    let missing = parse::missing_words(&command);
    if missing.is_empty() {
        return Ok(ServerChoice::Command(command));
    }
    let message = format!(
        "--server-cmd: {missing} must stand in it, for the port to listen on and the folder to serve: 'python3 server.py --port {{port}} --workers {{workers}} --root {{root}}'. For a server that always takes the same, say which: --server-port N, --server-root DIR"
    );
    Err(Args::command().error(ErrorKind::ValueValidation, message))
}

/// A server that is not told its number of workers has one: rows that say otherwise would be wrong. `servers` is
/// what was typed for --servers; a subject has a name.
fn check_workers(
    server: &ServerChoice,
    subject: Option<&str>,
    servers: &[u32],
) -> Result<(), clap::Error> {
    if server.is_told_workers() || servers.len() == 1 {
        return Ok(());
    }
    let message = match server {
        ServerChoice::Target { .. } => {
            "--target: how many workers the running server has is not known here: say it with one --servers N".to_owned()
        }
        ServerChoice::Own | ServerChoice::Command(_) => format!(
            "{}: a command without {{workers}} has one number of workers: say it with one --servers N, or put {{workers}} into the command",
            subject.map_or("--server-cmd".into(), |name| format!("--subject {name}"))
        ),
    };
    Err(Args::command().error(ErrorKind::MissingRequiredArgument, message))
}

/// Faults that would do nothing are no faults.
fn check_faults(plan: &Plan, settings: &Settings) -> Result<(), clap::Error> {
    let has = |is_meant: fn(&Cell) -> bool| plan.cells.iter().any(is_meant);
    let has_killed = plan.cells.iter().any(|cell| {
        cell.fault == Fault::KillWorker && settings.of(cell).server != ServerChoice::Own
    });
    let message = match () {
        () if has_killed => {
            "--fault kill-worker: which processes are a foreign server's workers is not known; leave it out, or leave --server-cmd, --target or the foreign --subject out"
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
