//! The `prefork-client` program.

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
