//! Where the settings come from: what was typed, and the file that it names.

use std::ffi::OsString;

use clap::Parser;

use super::args::Args;
use super::config_file;
use crate::config::Config;

/// Where the settings come from: what was typed, and the file it names. Read again at each reload.
#[derive(Debug, Clone)]
pub struct Source {
    argv: Vec<OsString>,
}

/// Why there are no settings.
#[derive(Debug)]
pub enum Wrong {
    /// What was typed; help and version come this way too.
    Typed(clap::Error),
    /// The file.
    File(String),
    /// Both are well-formed, and make no sense together.
    Settings(String),
}

impl Source {
    /// The settings that `argv` gives; its first is the program's name.
    #[must_use]
    pub fn new(argv: impl IntoIterator<Item = OsString>) -> Self {
        Self {
            argv: argv.into_iter().collect(),
        }
    }

    /// What is typed and what the file says, now.
    ///
    /// # Errors
    /// What is wrong, in the file or as typed.
    pub fn args(&self) -> Result<Args, Wrong> {
        let typed = Args::try_parse_from(&self.argv).map_err(Wrong::Typed)?;
        let Some(path) = &typed.config else {
            return Ok(typed);
        };
        let wrong = |what: &dyn std::fmt::Display| {
            Wrong::File(format!("--config {}: {what}", path.display()))
        };
        let from_file = config_file::arguments(path).map_err(|error| wrong(&error))?;
        let (name, flags) = self.argv.split_at(self.argv.len().min(1));
        let all = name.iter().chain(&from_file).chain(flags);
        // What was typed is right by itself, so what is wrong now is in the file.
        Args::try_parse_from(all).map_err(|error| wrong(&unframed(&error)))
    }

    /// The settings, now.
    ///
    /// # Errors
    /// In words for a person.
    pub fn config(&self) -> Result<Config, String> {
        let args = self.args().map_err(|wrong| wrong.to_string())?;
        args.config()
            .map_err(|message| self.blame(message).to_string())
    }

    /// Where to look for what makes no sense: in the file, unless what was typed makes none by itself.
    pub(super) fn blame(&self, message: String) -> Wrong {
        let typed = Args::try_parse_from(&self.argv).ok();
        match typed.and_then(|typed| Some((typed.config.clone()?, typed.config()))) {
            Some((_, Err(alone))) if alone == message => Wrong::Settings(message),
            Some((path, _)) => Wrong::File(format!("--config {}: {message}", path.display())),
            None => Wrong::Settings(message),
        }
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Typed(error) => write!(f, "{}", error.render()),
            Self::File(message) | Self::Settings(message) => f.write_str(message),
        }
    }
}

/// What clap says, without the frame that it puts around every message.
fn unframed(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let (message, _) = text.rsplit_once("\n\nFor more").unwrap_or((text, ""));
    message.trim_end().to_owned()
}
