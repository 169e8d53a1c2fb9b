//! The `stress` program.

fn main() -> std::process::ExitCode {
    stress::cli::main()
}
