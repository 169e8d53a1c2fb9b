//! The `prefork-client` program.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

mod address;
mod cli;
mod exit;
mod interrupt;
mod link;
mod outcome;
mod progress;
mod report;
mod run;
#[cfg(test)]
#[path = "../../cli-kit/tests/support/schemas.rs"]
mod schemas;
mod text;

fn main() -> ExitCode {
    run::main()
}
