//! The command line: what can be typed, what it means, and the entry that runs it. Only the crate's root imports it.

pub(crate) mod args;
pub mod config_file;
mod sections;
mod source;
mod status;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::CommandFactory;
use cli_kit::output;
use screen::counted;

use crate::config::check_addresses;
use crate::exit::Exit;
use crate::operator::logger;
use crate::operator::stream::say;
use crate::{selftest, supervisor, words};

use args::Subcommand;
use sections::SECTIONS;
use source::Wrong;

pub use args::Args;
pub use source::Source;

/// Runs the server as this process's own arguments say.
#[must_use]
pub fn main() -> ExitCode {
    main_with_args(std::env::args_os())
}

/// Runs the server as `argv` says; its first is the program's name. Must be called before any thread starts:
/// the parent forks, and forks only from a single-threaded process.
#[must_use]
pub fn main_with_args(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let source = Source::new(argv);
    let args = match source.args() {
        Ok(args) => args,
        Err(error) => return error.print(),
    };
    if let Some(command) = &args.command {
        return command.run();
    }
    logger::start(args.settings.log_level, args.settings.log_format);
    let is_check = args.check_config;
    let self_test = args.self_test.then_some(args.json);
    let config = args.config().and_then(|mut config| {
        config.find_user()?;
        if is_check {
            check_addresses(&config)?;
        }
        Ok(config)
    });
    let config = match config {
        Ok(config) => config,
        Err(message) => return source.blame(message).print(),
    };
    if is_check {
        let (workers, pool) = (config.workers, config.pool.as_str());
        let workers = counted(workers.into(), &format!("{pool} worker"));
        let line = format!("the settings make sense: {workers}\n");
        let written = output::check().and_then(|()| std::io::stdout().write_all(line.as_bytes()));
        return match written {
            Ok(()) => Exit::Done.into(),
            Err(error) => cannot_write(&error),
        };
    }
    let result = match self_test {
        Some(json) => selftest::run(&config, json),
        None => supervisor::run(config, Box::new(move || source.config())),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            say(format_args!("error: {}", words::chain(&error)));
            Exit::Error.into()
        }
    }
}

impl Subcommand {
    fn run(&self) -> ExitCode {
        match self {
            Self::Status(args) => status::run(args),
            Self::Handout(handout) => match handout.print(Args::command(), &SECTIONS) {
                Ok(()) => Exit::Done.into(),
                Err(error) => {
                    say(format_args!("error: {error}"));
                    Exit::Error.into()
                }
            },
        }
    }
}

impl Wrong {
    fn print(&self) -> ExitCode {
        match self {
            Self::Typed(error) => {
                // Help and version have their own exit code, and go to standard output.
                if !error.use_stderr()
                    && let Err(error) = output::check()
                {
                    return cannot_write(&error);
                }
                let _ = error.print();
                ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
            }
            Self::File(message) => {
                say(format_args!("error: {}", message.trim_end()));
                Exit::Usage.into()
            }
            Self::Settings(message) => {
                say(format_args!(
                    "error: {message}\n\nFor all options try 'prefork-server --help'."
                ));
                Exit::Usage.into()
            }
        }
    }
}

fn cannot_write(error: &std::io::Error) -> ExitCode {
    say(format_args!(
        "error: cannot write to standard output: {}",
        words::plain(error)
    ));
    Exit::Error.into()
}
