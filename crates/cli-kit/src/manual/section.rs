//! What a help says below the flags, and a manual in sections of its own.

use super::fitted::fitted;

/// The sections of a manual that clap knows nothing of, in the order that man-pages(7) gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// More than the first sentence.
    Description,
    /// What the exit codes mean.
    ExitStatus,
    /// What signals do.
    Signals,
    /// Which variables are read.
    Environment,
    /// Which files are read and written.
    Files,
    /// What else is good to know.
    Notes,
    /// Command lines and what they do.
    Examples,
    /// Where to read on.
    SeeAlso,
}

impl Topic {
    /// The heading in the manual.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Description => "DESCRIPTION",
            Self::ExitStatus => "EXIT STATUS",
            Self::Signals => "SIGNALS",
            Self::Environment => "ENVIRONMENT",
            Self::Files => "FILES",
            Self::Notes => "NOTES",
            Self::Examples => "EXAMPLES",
            Self::SeeAlso => "SEE ALSO",
        }
    }
}

/// One piece of text, for the help, the manual, or both. Lines that are not indented are prose; indented ones are
/// items, with two spaces or more between what is explained and its explanation; what is indented further goes on
/// with the item above.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    pub(crate) topic: Topic,
    pub(crate) lead: Lead,
    pub(crate) text: &'static str,
}

/// The line above a section.
#[derive(Debug, Clone, Copy)]
pub enum Lead {
    /// In the help, where the manual has the topic's title.
    Help(&'static str),
    /// In both: it says more than the title.
    Both(&'static str),
    /// In neither; the help has the text as it is.
    Nothing,
    /// The help, which is to be short, does not have the section.
    ManualOnly,
}

impl Section {
    /// In the manual it stands under the topic's title.
    pub const fn new(topic: Topic, lead: Lead, text: &'static str) -> Self {
        Self { topic, lead, text }
    }
}

/// The sections as they stand below the flags of the help, in their order.
pub fn help(sections: &[Section]) -> String {
    let texts = sections.iter().filter_map(|section| match section.lead {
        Lead::Help(lead) | Lead::Both(lead) => Some(format!("{lead}:\n{}", section.text)),
        Lead::Nothing => Some(section.text.to_owned()),
        Lead::ManualOnly => None,
    });
    fitted(&texts.collect::<Vec<_>>().join("\n\n"))
}
