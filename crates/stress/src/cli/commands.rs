//! What `stress` does besides measuring a plan: one subcommand each.

use anyhow::{Context, Result};
use clap::{CommandFactory, Subcommand};
use manual::Handout;

use super::Args;
use super::sections::SECTIONS;
use crate::exit::Exit;
use crate::{baseline, compare, explain, hostile, recheck, report, show, soak, verify};

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the table of a run again: the newest, or the one named.
    Show(show::ShowArgs),
    /// Compute every number of runs again from their journals, check that both sides' accounts agree, and find
    /// runs whose records are copies of one another.
    Verify(verify::VerifyArgs),
    /// Say what changed between two runs, row by row, with an interval; exit 4 on a regression.
    Compare(compare::CompareArgs),
    /// Measure some rows of a run again and say whether its ratios hold on this machine.
    Recheck(recheck::RecheckArgs),
    /// Say in sentences where the time of a row went.
    Explain(explain::ExplainArgs),
    /// Keep our server under mixed load while its workers are killed, its settings reloaded and its program
    /// upgraded; then check that nothing acknowledged was lost and that both sides' accounts agree.
    Soak(soak::SoakArgs),
    /// Attack our server with hostile clients (silent, slow, greedy), and see what becomes of them and what a good
    /// client meanwhile sees, under each pool.
    Hostile(hostile::HostileArgs),
    /// Measure this machine's ceilings: bytes through the loopback over 1, 5 and 50 connections, and through the
    /// page cache. With --baseline a run does that first, and every cell shows its fraction.
    Baseline(baseline::BaselineArgs),
    /// Render the report of a run, or of several side by side, from the journal alone: a page, Markdown,
    /// spreadsheets, and a PDF.
    Report(Box<report::ReportArgs>),
    /// A script for a shell, or the manual.
    #[command(flatten)]
    Handout(Handout),
}

impl Command {
    /// Does what it says.
    ///
    /// # Errors
    /// What kept the harness from its work.
    pub fn run(&self) -> Result<Exit> {
        match self {
            Self::Show(args) => show::run(args),
            Self::Verify(args) => verify::run(args),
            Self::Compare(args) => compare::run(args),
            Self::Recheck(args) => recheck::run(args),
            Self::Explain(args) => explain::run(args),
            Self::Soak(args) => soak::run(args),
            Self::Hostile(args) => hostile::run(args),
            Self::Baseline(args) => baseline::run(args),
            Self::Report(args) => report::run(args),
            Self::Handout(handout) => {
                handout
                    .print(Args::command(), &SECTIONS)
                    .context("cannot write to standard output")?;
                Ok(Exit::Verified)
            }
        }
    }
}
