//! What a program hands out about itself: completions for shells, and its manual page. Both are made from its clap
//! command; what stands below the flags of its help is written once, as [`Section`]s, for the help and the page.

mod bash;
mod fitted;
mod page;
mod section;
mod text;

use std::io;

use clap::{Command, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::output;

pub use fitted::fitted;
use page::page;
pub use section::{Lead, Section, Topic, help};

/// Stands for the name of the program in the texts that all of them have.
const PROGRAM: &str = "PROGRAM";

const PLACES: &str = "\
Where shells look for it:
  bash        ~/.local/share/bash-completion/completions/PROGRAM
  zsh         a folder of $fpath, as _PROGRAM
  fish        ~/.config/fish/completions/PROGRAM.fish
  elvish      a module that rc.elv uses
  powershell  the file that $PROFILE names";

const READING: &str = "\
Examples:
  PROGRAM man | man -l -                                 read it
  PROGRAM man > ~/.local/share/man/man1/PROGRAM.1        keep it where `man PROGRAM` finds it";

/// Subcommands that every program has.
#[derive(Debug, Clone, Subcommand)]
pub enum Handout {
    /// Print a script that completes this program's command line in a shell.
    #[command(after_help = fitted(PLACES))]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, all commands included, for man(1).
    #[command(after_help = fitted(READING))]
    Man,
}

impl Handout {
    /// Prints it. `command` is the whole program's, `sections` stand in its manual. Whoever reads standard output
    /// may stop before the end, as `head` does.
    ///
    /// # Errors
    /// What keeps standard output from being written.
    pub fn print(&self, command: Command, sections: &[Section]) -> io::Result<()> {
        output::print(&match self {
            Self::Completions { shell } => completions(*shell, command),
            Self::Man => page(command, sections),
        })
    }
}

fn completions(shell: Shell, command: Command) -> String {
    let mut command = without_guesses(command);
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, &name, &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => bash::mended(&script, &command, &name),
        _ => script,
    }
}

/// Without a hint, shells take every value for the name of a file, be it a number or a time.
fn without_guesses(command: Command) -> Command {
    command
        .mut_args(|arg| {
            let is_open = arg.get_action().takes_values()
                && arg.get_value_hint() == ValueHint::Unknown
                && arg.get_possible_values().is_empty();
            match is_open {
                true => arg.value_hint(ValueHint::Other),
                false => arg,
            }
        })
        .mut_subcommands(without_guesses)
}
