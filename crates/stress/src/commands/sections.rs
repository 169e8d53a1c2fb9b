//! What stands below the flags of the help, and in the manual.

use cli_kit::{Lead, Section, Topic};
use stress_data::fail_on::{GRAMMAR, GRAMMAR_LEAD};

pub(super) const SECTIONS: [Section; 7] = [
    Section::new(Topic::Examples, Lead::Help("Examples"), EXAMPLES),
    Section::new(Topic::Files, Lead::Both(RESULTS_LEAD), RESULTS),
    Section::new(Topic::Description, Lead::Nothing, READING),
    Section::new(Topic::Notes, Lead::Both(GRAMMAR_LEAD), GRAMMAR),
    Section::new(Topic::ExitStatus, Lead::Help("Exit codes"), EXIT_CODES),
    Section::new(Topic::Environment, Lead::ManualOnly, ENVIRONMENT),
    Section::new(
        Topic::SeeAlso,
        Lead::ManualOnly,
        "prefork-server(1), prefork-client(1)",
    ),
];

const EXAMPLES: &str = "  stress                                      all 81 rows
  stress --op upload --size 50M --clients 5   three: 1, 5 and 50 server workers
  stress --op download,upload --repeat 5      54 rows, five samples each
  stress --plan models                        which pool to choose: one page, in under five minutes
  stress --plan assignment                    54 rows for each pair of pools: 216
  stress --quick                              81 rows with small files
  stress --server-pool process,thread,event   all pools of our server: 243 rows
  stress --op download --fault none,silent-client:5,slow-client:1M:5,kill-worker
  stress --clients 7 --size 3M                other values: numbered from 1
  stress --resume                             go on with a run that was stopped
  stress --budget 45m --server-cmd '…'        as much of the table as fits, the cheap rows first
  stress --fail-on 'clients_failed>0,makespan_s>2'     for CI: exit 4 if a row is like this
  stress show                                 the newest run's table again
  stress verify results/*                     do all numbers follow from the journals?
  stress --subject ours=ours --subject python='python3 s.py -p {port} -w {workers} -d {root}'
  stress compare RUN                          which of its subjects is better, and by how much
  stress compare OLD NEW                      what changed, with intervals
  stress explain RUN 14                       where the time of row 14 went
  stress report --lang id --pdf               the newest run's report, in Indonesian, as a PDF too
  stress soak --time 60s                      kill workers, reload and upgrade under load
  stress --server-cmd 'python3 s.py -p {port} -w {workers} -d {root}'";

const RESULTS_LEAD: &str =
    "Results, in results/<time>-<label>/; results/latest is the newest that measured anything";

const RESULTS: &str = "  summary.csv       one line a row
  clients.csv       one line an operation
  run.json          machine, settings, and how it went
  journal.ndjson    every sample: the others are computed from it
  report.html       the report, and report.md; as a PDF, in Indonesian: stress report --help
  table.csv, .xlsx  the assignment's nine columns";

const READING: &str = "\
Filters keep the numbers of the full plan. Sizes are read as GNU reads them: 50M = 50MiB is
52,428,800 bytes, 50MB is 50,000,000 bytes.";

const EXIT_CODES: &str = "  0    every operation of every row was verified
  1    the harness could not go on, or a foreign server failed its trial before the first row
  2    usage
  3    some row failed or could not be run (a connection that --fault kill-worker cut is no
       failure), or the run does not verify
  4    a row meets a condition of --fail-on, or no row has the value (this goes before 3)
  130  interrupted; the samples taken are kept, and --resume goes on";

const ENVIRONMENT: &str =
    "  NO_COLOR  if set, the table on a terminal has no colours; nor has it with TERM=dumb";
