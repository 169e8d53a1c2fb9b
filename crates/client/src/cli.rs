//! The command line: what can be typed.

mod sections;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use cli_kit::Handout;
use cli_kit::value::{self, LONGEST, SHORTEST};
use client::{Congestion, FileName, Options, Terminator};

use crate::address::Address;

pub(crate) use sections::SECTIONS;

const CONNECTION: &str = "Connection";
const REPORTING: &str = "Reporting";

/// Lists, downloads, uploads and deletes files on a file server.
#[derive(Debug, Parser)]
#[command(name = "prefork-client", version, after_help = cli_kit::help(&SECTIONS), max_term_width = 100)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,

    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// What this program was told.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut command = Self::command();
        command.build();
        // With PREFORK_SERVER set, an error would show --server as if it had to be given.
        let command = command.mut_subcommands(|mut subcommand| {
            let usage = subcommand.render_usage().to_string();
            subcommand.override_usage(usage.trim_start_matches("Usage: ").to_owned())
        });
        Self::from_arg_matches(&command.try_get_matches()?)
    }

    /// The library's view of this.
    pub(crate) fn options(&self) -> Options {
        let common = &self.common;
        let mut options = Options {
            connect_timeout: common.connect_timeout,
            idle_timeout: common.timeout,
            terminator: common.terminator,
            congestion: common.congestion.clone(),
            ..Options::default()
        };
        match &self.command {
            Command::List(list) => options.listing_len_max = list.listing_max,
            Command::Get(get) => options.download_len_max = get.download_max,
            Command::Upload(_) | Command::Delete(_) | Command::Handout(_) => {}
        }
        options
    }

    /// Whether what was asked for is written to standard output.
    pub(crate) fn needs_stdout(&self) -> bool {
        match &self.command {
            Command::List(_) | Command::Handout(_) => true,
            Command::Get(get) if get.output.as_deref().is_some_and(is_stdout) => true,
            Command::Get(_) | Command::Upload(_) | Command::Delete(_) => self.common.json,
        }
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// The server; without a port: 46666. An IPv6 address goes in brackets.
    #[arg(long, global = true, help_heading = CONNECTION, value_name = "HOST:PORT", env = "PREFORK_SERVER", default_value = "127.0.0.1:46666")]
    pub(crate) server: Address,

    /// How requests end. Some other servers of this protocol answer only what ends with crlfcrlf, or with none.
    #[arg(long, global = true, help_heading = CONNECTION, value_name = "END", value_parser = terminator(), default_value = "crlf")]
    pub(crate) terminator: Terminator,

    /// Give up when no byte has moved for this time, such as 500ms, 30s or 5m. (Not a limit on a whole transfer.)
    #[arg(long, global = true, help_heading = CONNECTION, value_name = "TIME", default_value = "60s", value_parser = value::duration(SHORTEST..=LONGEST))]
    pub(crate) timeout: Duration,

    /// Give up when there is no connection after this time. All addresses of a name share it.
    #[arg(long, global = true, help_heading = CONNECTION, value_name = "TIME", default_value = "10s", value_parser = value::duration(SHORTEST..=LONGEST))]
    pub(crate) connect_timeout: Duration,

    /// Congestion control for uploads: auto (reno to this machine, else the system's choice), system, or a name.
    #[arg(long, global = true, help_heading = CONNECTION, value_name = "auto|system|NAME", default_value = "auto")]
    pub(crate) congestion: Congestion,

    /// Report on standard output, one JSON object for each file.
    #[arg(long, global = true, help_heading = REPORTING)]
    pub(crate) json: bool,

    /// Say nothing but what went wrong.
    #[arg(long, short, global = true, help_heading = REPORTING)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the names of the files on the server, one a line.
    List(List),
    /// Download files.
    #[command(visible_alias = "download")]
    Get(Get),
    /// Upload files.
    Upload(Upload),
    /// Delete files on the server.
    Delete(Delete),
    /// A script for a shell, or the manual.
    #[command(flatten)]
    Handout(Handout),
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Give up when the listing is longer, such as 500K, 64M or 1G.
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = value::size_above_zero)]
    pub(crate) listing_max: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// The names on the server.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<FileName>,

    /// A folder, or for one NAME a file, or - for standard output [default: the current folder].
    #[arg(long, short, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,

    /// Overwrite files that are there.
    #[arg(long, short)]
    pub(crate) force: bool,

    /// Return only when the files would survive a loss of power.
    #[arg(long)]
    pub(crate) fsync: bool,

    /// Give up when a file is longer, such as 500K, 64M or 1T: a server may send without end.
    #[arg(long, value_name = "SIZE", default_value = "64G", value_parser = value::size_above_zero)]
    pub(crate) download_max: u64,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Upload {
    /// The files; - for standard input.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// The name on the server, with one PATH only [default: the path's own file name].
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) name: Option<FileName>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// The names on the server.
    #[arg(required = true, value_name = "NAME")]
    pub(crate) names: Vec<FileName>,
}

fn is_stdout(path: &Path) -> bool {
    let names = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    names.iter().any(|name| path == Path::new(name))
}

fn terminator() -> impl TypedValueParser<Value = Terminator> {
    let words = ["crlf", "crlfcrlf", "lf", "none"];
    PossibleValuesParser::new(words).try_map(|text| text.parse::<Terminator>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_bounds_are_the_librarys_unless_a_flag_sets_them() {
        let options = |line: &str| Args::try_parse_from(line.split(' ')).unwrap().options();
        let default = Options::default();
        assert_eq!(options("x list").listing_len_max, default.listing_len_max);
        assert_eq!(
            options("x get a").download_len_max,
            default.download_len_max
        );
        assert_eq!(options("x list --listing-max 2K").listing_len_max, 2048);
        assert_eq!(
            options("x get a --download-max 3MB").download_len_max,
            3_000_000
        );
    }

    #[test]
    fn both_words_of_the_protocol_download() {
        for line in ["prefork-client get a.bin", "prefork-client download a.bin"] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert!(matches!(args.command, Command::Get(_)), "{line}");
        }
    }

    #[test]
    fn times_that_are_none_are_refused_with_what_to_write() {
        for (text, part) in [
            ("5", "invalid duration '5': write 500ms"),
            ("soon", "write 500ms, 30s, 5m or 2h"),
            ("0s", "more than zero"),
        ] {
            let line = ["prefork-client", "--timeout", text, "list"];
            let error = Args::try_parse_from(line).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn common_options_may_stand_anywhere() {
        for line in [
            "prefork-client --server a:1 list",
            "prefork-client list --server a:1",
        ] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(args.common.server.to_string(), "a:1");
        }
    }
}
