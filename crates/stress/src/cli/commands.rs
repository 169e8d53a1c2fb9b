//! What `stress` does besides measuring a plan: one subcommand each.

use anyhow::Result;
use clap::Subcommand;

use crate::exit::Exit;
use crate::soak;

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keep our server under mixed load while its workers are killed, its settings reloaded and its program
    /// upgraded; then check that nothing acknowledged was lost and that both sides' accounts agree.
    Soak(soak::SoakArgs),
}

impl Command {
    /// Does what it says.
    ///
    /// # Errors
    /// What kept the harness from its work.
    pub fn run(&self) -> Result<Exit> {
        match self {
            Self::Soak(args) => soak::run(args),
        }
    }
}
