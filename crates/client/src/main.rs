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
mod text;

fn main() -> ExitCode {
    run::main()
}
