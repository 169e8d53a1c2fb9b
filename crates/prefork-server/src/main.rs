//! The `prefork-server` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    prefork_server::cli::main()
}
