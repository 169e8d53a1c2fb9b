//! What the harness calls its own executable for: the server, the client processes, the guard of a foreign server.
//!
//! These are told apart by the first argument alone, before anything else happens in the process: the server and
//! the parent of the clients fork and must be single-threaded, and a client process should carry nothing it does
//! not need.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::clients::pool::process::forker;
use crate::host::ceilings::sink;
use crate::host::{child, guard};

/// Runs a hidden subcommand if `argv` names one; it gets its own name as the first argument.
pub(super) fn run(argv: &[OsString]) -> Option<ExitCode> {
    let args = || argv[1..].iter().cloned();
    match argv.get(1)?.to_str()? {
        child::SERVER => Some(prefork_server::main_with_args(args())),
        child::CLIENTS => Some(forker::main(args())),
        child::SINK => Some(sink::main(args())),
        child::GUARD => Some(guard::main(args())),
        _ => None,
    }
}
