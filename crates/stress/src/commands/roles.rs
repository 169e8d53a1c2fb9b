//! What the harness calls its own executable for: the server, the clients, the guard of a foreign server.
//!
//! These are told apart by the first argument alone, before anything else happens in the process: the server and
//! the parent of the clients fork and must be single-threaded, and a client process should carry nothing it does
//! not need.

use std::ffi::OsString;
use std::fmt::Display;
use std::process::ExitCode;

use cli_kit::output;

use crate::clients::pool::members;
use crate::host::ceilings::sink;
use crate::host::{child, guard};

/// Runs a hidden subcommand if `argv` names one.
pub(super) fn run(argv: &[OsString]) -> Option<ExitCode> {
    let args = argv.get(2..).unwrap_or_default();
    Some(match argv.get(1)?.to_str()? {
        child::SERVER => prefork_server::main_with_args(argv[1..].iter().cloned()),
        child::CLIENTS => code(members::run(args)),
        child::SINK => code(sink::run(args)),
        child::GUARD => code(guard::run(args)),
        _ => return None,
    })
}

fn code(result: Result<(), impl Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
