//! The flags, by what they are about.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueHint;
use cli_kit::value::{buffer, duration, whole};
use stress_data::fail_on::Condition;
use stress_data::fault::Fault;
use stress_data::matrix::{ClientPool, DURABILITIES, Operation, PlanName, ServerPool};
use stress_data::measurement::{Subject, Verify};
use stress_data::schedule::Order;
use stress_data::size;

use super::parse;
use crate::commands::words;
use crate::run::progress::Shown;
use crate::run::timeline::Wanted;

/// The largest pool: 1,000 processes a side is already more than a machine of this kind can tell apart.
const WORKERS_MAX: u32 = 1_000;
/// Samples of one row.
const REPEATS_MAX: u32 = 1_000;
/// Operations of one client.
const REQUESTS_MAX: u32 = 100_000;

/// Below a millisecond it could not be told from none.
const TIMEOUTS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);
/// Below the least there would be no time to measure anything beside what starting and ending take.
const BUDGETS: RangeInclusive<Duration> = Duration::from_secs(5)..=Duration::from_hours(24 * 365);
const SETTLES: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_mins(10);

/// Which rows.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Rows (each flag takes a comma list)")]
pub(super) struct AxisArgs {
    /// A plan by its name; the flags below change its axes.
    #[arg(long, value_parser = words::plan(), default_value = "standard", value_name = "NAME")]
    pub(super) plan: PlanName,

    /// Small files, for a look: a minute at most.
    #[arg(long)]
    pub(super) quick: bool,

    /// Operations [default: all]; get is taken for download.
    #[arg(long, value_parser = words::operation(), value_delimiter = ',', value_name = "OP")]
    pub(super) op: Vec<Operation>,

    /// Volumes: the size of each client's file, such as 50M or 50MB [default: 10M,50M,100M].
    #[arg(long, value_delimiter = ',', value_parser = size::parse)]
    pub(super) size: Vec<u64>,

    /// Client workers [default: 1,5,50].
    #[arg(long, visible_alias = "client-workers", value_delimiter = ',', value_name = "N", value_parser = whole(1..=WORKERS_MAX))]
    pub(super) clients: Vec<u32>,

    /// Server workers [default: 1,5,50].
    #[arg(long, visible_alias = "server-workers", value_delimiter = ',', value_name = "N", value_parser = whole(1..=WORKERS_MAX))]
    pub(super) servers: Vec<u32>,

    /// What the clients are [default: thread].
    #[arg(long, value_parser = words::client_pool(), value_delimiter = ',', value_name = "POOL")]
    pub(super) client_pool: Vec<ClientPool>,

    /// What the workers of our server are [default: process].
    #[arg(long, value_parser = words::server_pool(), value_delimiter = ',', value_name = "POOL")]
    pub(super) server_pool: Vec<ServerPool>,

    /// Receive buffer of the clients' sockets, such as 512K [default: as the kernel tunes it].
    #[arg(long, value_delimiter = ',', value_name = "SIZE", value_parser = buffer)]
    pub(super) client_buffer: Vec<u64>,

    /// Receive buffer of the server's sockets [default: as the kernel tunes it].
    #[arg(long, value_delimiter = ',', value_name = "SIZE", value_parser = buffer, conflicts_with = "server_cmd")]
    pub(super) server_buffer: Vec<u64>,

    /// Memory in which our server keeps files encoded, such as 512M; 0 for none [default: what the server takes by itself,
    /// an eighth of the memory, 512M at most].
    #[arg(long, value_delimiter = ',', value_name = "SIZE", value_parser = parse::cache, conflicts_with = "server_cmd")]
    pub(super) encoded_cache: Vec<u64>,

    /// What is done to the server meanwhile: none, kill-worker, `silent-client[:N]`, `stall-client[:N]` or
    /// `slow-client:RATE[:N]`. Faulty clients connect before the others, and are not counted among them
    /// [default: none].
    #[arg(long, value_delimiter = ',', value_name = "FAULT")]
    pub(super) fault: Vec<Fault>,
}

/// How each row is measured.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Measuring")]
pub(super) struct MeasuringArgs {
    /// Samples of each row; five or more show the spread [default: 1, and 3 with --subject].
    #[arg(long, value_name = "N", value_parser = whole(1..=REPEATS_MAX))]
    pub(super) repeat: Option<u32>,

    /// Samples of each row that are taken before, and not counted; the journal keeps them, marked.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = whole(0..=100_u32))]
    pub(super) warmup: u32,

    /// Operations of each client, one after the other [default: 1, and 20 for list].
    #[arg(long, value_name = "N", value_parser = whole(1..=REQUESTS_MAX))]
    pub(super) requests: Option<u32>,

    /// The longest one operation may take, connecting included.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration(TIMEOUTS))]
    pub(super) timeout: Duration,

    /// How long all of it may take, tables included: cheap rows come first, what the others will take is
    /// predicted from them, and what does not fit is a row with status not_run. Each --resume has it anew.
    #[arg(long, value_name = "TIME", value_parser = duration(BUDGETS))]
    pub(super) budget: Option<Duration>,

    /// How contents are verified.
    #[arg(long, value_parser = words::verify(), default_value = "checksum", value_name = "HOW")]
    pub(super) verify: Verify,

    /// Rows that are measured once more at the end, so that the report can draw who waited when, and what each server worker
    /// did; or none [default: of each operation the largest row in which clients wait].
    #[arg(long, value_name = "ROWS|none", value_parser = parse::timeline)]
    pub(super) timeline: Option<Wanted>,

    /// The order of samples with --repeat; one sample of each row is taken in the order of the table.
    #[arg(long, value_parser = words::order(), default_value = "interleaved", value_name = "ORDER")]
    pub(super) order: Order,

    /// The seed of the files' contents and of the samples' order.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = whole(0..=u64::MAX))]
    pub(super) seed: u64,

    /// Measure the machine's ceilings first (three seconds), and show every row's fraction of its ceiling.
    #[arg(long)]
    pub(super) baseline: bool,

    /// Watch the memory of our server's processes, ten times a second.
    #[arg(long)]
    pub(super) watch_memory: bool,

    /// Take memory from a virtual machine's host before a row that needs much of it, so that its window does not
    /// pay for that. Takes some seconds for each large upload row.
    #[arg(long)]
    pub(super) warm_memory: bool,
}

/// What serves, and how both sides talk.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Server and connections")]
pub(super) struct ServerArgs {
    /// What our server promises about uploads: none (as servers that never sync, so that the comparison is
    /// fair), data or full.
    #[arg(long, value_name = "WHAT", default_value = "none", value_parser = DURABILITIES)]
    pub(super) durability: String,

    /// Congestion control of both sides: auto (reno on loopback), system, or a name.
    #[arg(long, value_name = "auto|system|NAME", default_value = "auto", value_parser = parse::congestion)]
    pub(super) congestion: String,

    /// How requests end [default: crlf; with --server-cmd and --target the first end with which LIST is answered,
    /// tried before the first row].
    #[arg(long, value_name = "HOW", value_parser = ["crlf", "crlfcrlf", "lf", "none"])]
    pub(super) terminator: Option<String>,

    /// More flags for our server, such as '--head-timeout 2s --defer-accept 3'.
    #[arg(long, value_name = "FLAGS", allow_hyphen_values = true, conflicts_with = "server_cmd", value_parser = parse::words)]
    pub(super) server_args: Option<parse::Words>,

    /// Measure this server instead of ours: a command line with {port} and {root} (the folder to serve) in it, and
    /// {workers} if it can be told; else one --servers N says how many it has. They are filled in for each row.
    #[arg(long, value_name = "CMD", value_hint = ValueHint::CommandString, group = "foreign", conflicts_with = "server_pool", value_parser = parse::server_cmd)]
    pub(super) server_cmd: Option<String>,

    /// Measure several servers in one run, each row of all of them in turns, round by round; once for each. COMMAND is as for
    /// --server-cmd, or 'ours', or 'ours:FLAGS' as for --server-args. The first is the reference, to which the others'
    /// times are related.
    #[arg(long, value_name = "NAME=COMMAND", group = "foreign", value_parser = parse::subject)]
    pub(super) subject: Vec<Subject>,

    /// The folder that --server-cmd is started in.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, requires = "server_cmd")]
    pub(super) server_cwd: Option<PathBuf>,

    /// The address that --server-cmd listens on, if it is bound to that alone [default: 127.0.0.1].
    #[arg(long, value_name = "HOST", value_hint = ValueHint::Hostname, requires = "server_cmd")]
    pub(super) server_host: Option<String>,
    /// The port that --server-cmd always listens on; then the command may leave {port} out.
    #[arg(long, value_name = "PORT", requires = "server_cmd", value_parser = whole(1..=u16::MAX))]
    pub(super) server_port: Option<u16>,

    /// The folder that --server-cmd always serves; then the command may leave {root} out. It must be empty, and is
    /// empty afterwards.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, requires = "server_cmd")]
    pub(super) server_root: Option<PathBuf>,

    /// Measure a server that runs already, here or elsewhere; --servers says how many workers it has. Files are put
    /// into its folder and deleted through it.
    #[arg(long, value_name = "HOST:PORT", group = "foreign", conflicts_with_all = ["server_cmd", "server_pool", "server_args", "server_buffer", "encoded_cache"], value_parser = parse::target)]
    pub(super) target: Option<String>,

    /// The admin socket of the --target, if it is our server and was started with --admin: its ledger is then asked
    /// before and after each window. Nobody else may use the server meanwhile.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "target")]
    pub(super) target_admin: Option<PathBuf>,
    /// How long --server-cmd and subjects that are not ours must be idle, or --target is left alone, before a window, after it has answered as many
    /// LISTs at once as it has workers [default: 100ms].
    #[arg(long, value_name = "TIME", requires = "foreign", value_parser = duration(SETTLES))]
    pub(super) server_settle: Option<Duration>,
    /// Measure --server-cmd, --subject or --target although its trial before the first row failed: each row then says what is
    /// wrong.
    #[arg(long, requires = "foreign")]
    pub(super) keep_going: bool,
}

/// Where things go and what is shown.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(super) struct OutputArgs {
    /// Where the folder of the run is made.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, default_value = "results")]
    pub(super) out: PathBuf,

    /// Where files are served from and stored to while measuring; all of it is removed [default: the --out folder].
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) work_dir: Option<PathBuf>,

    /// A word in the name of the run's folder.
    #[arg(long, value_name = "TEXT", default_value = "run", value_parser = parse::label)]
    pub(super) label: String,

    /// Only list what would be measured.
    #[arg(long)]
    pub(super) dry_run: bool,

    /// Go on with a run that was stopped: the newest in --out, or the one named. Give it the flags that the run was
    /// started with.
    #[arg(long, value_name = "RUN", value_hint = ValueHint::DirPath, num_args = 0..=1)]
    pub(super) resume: Option<Option<PathBuf>>,

    /// Start a new run, even if another is unfinished: this is the default.
    #[arg(long, conflicts_with_all = ["resume", "rerun_failed"])]
    pub(super) fresh: bool,

    /// With --resume, or with the newest run that has any: take samples again that are not ok. The row then has
    /// the flag retaken, and the journal has both.
    #[arg(long)]
    pub(super) rerun_failed: bool,

    /// Exit with code 4 if a row meets this condition at the end, such as 'clients_failed>0', 'makespan_s>2' or 'status!=ok'; a
    /// comma list, or repeated. The conditions are explained below.
    #[arg(long, value_name = "CONDITION", value_delimiter = ',')]
    pub(super) fail_on: Vec<Condition>,

    /// What is shown on standard error meanwhile: auto is a bar on a terminal and plain lines elsewhere.
    #[arg(long, value_parser = words::shown(), default_value = "auto", value_name = "HOW")]
    pub(super) progress: Shown,

    /// Print the rows as JSON, one a line, instead of a table.
    #[arg(long)]
    pub(super) json: bool,
}
