//! What can be typed: the settings, and what to do with them.

use std::path::PathBuf;

use clap::{Parser, ValueHint};
use cli_kit::Handout;

use super::sections::SECTIONS;
use super::status;
use crate::config::{Config, Settings};

/// A multiprocess prefork file server: a parent binds and forks, a fixed pool of workers accepts and serves.
#[derive(Debug, Parser)]
#[command(
    name = "prefork-server",
    version,
    after_help = cli_kit::help(&SECTIONS),
    max_term_width = 110,
    args_override_self = true,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    subcommand_help_heading = "Commands (without one, a server is started)"
)]
pub struct Args {
    /// What to do instead of starting a server.
    #[command(subcommand)]
    pub command: Option<Subcommand>,

    /// How it is to serve.
    #[command(flatten)]
    pub settings: Settings,

    /// Settings from a TOML file: its keys are these flags without their dashes. What is typed overrides it.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, display_order = 8)]
    pub config: Option<PathBuf>,

    /// Say whether the settings make sense, and start nothing.
    #[arg(long, display_order = 9)]
    pub check_config: bool,

    /// Serve nobody; start one worker as these flags say, let it try what it must not be able to do, and print
    /// what came of it. Exit code 0 if all is well, else 1.
    #[arg(long, help_heading = "Hardening")]
    pub self_test: bool,

    /// Print the result of --self-test as JSON.
    #[arg(long, requires = "self_test", help_heading = "Hardening")]
    pub json: bool,
}

impl Args {
    /// What the settings mean.
    ///
    /// # Errors
    /// Names the flag and what would be right.
    pub fn config(self) -> Result<Config, String> {
        Config::new(self.settings, self.config.as_deref())
    }
}

/// What the program can do but serve. It has its own flags, none of which is a setting.
#[derive(Debug, clap::Subcommand)]
pub enum Subcommand {
    /// Show what a running server does: its workers, what they have done, how long the queue is.
    Status(status::Args),
    /// A script for a shell, or the manual.
    #[command(flatten)]
    Handout(Handout),
}

#[cfg(test)]
mod tests;
