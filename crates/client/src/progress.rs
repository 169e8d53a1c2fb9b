//! Progress bars on a terminal; elsewhere nothing.

use std::io::IsTerminal;

use client::Observer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::text::shown;

/// Where bars are drawn, if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Display {
    Bars,
    Hidden,
}

impl Display {
    /// Bars on a terminal, unless they are unwanted.
    pub(crate) fn choose(is_unwanted: bool) -> Self {
        match std::io::stderr().is_terminal() && !is_unwanted {
            true => Self::Bars,
            false => Self::Hidden,
        }
    }

    /// A meter for one file; an unknown length gets bytes and rate only.
    pub(crate) fn meter(self, name: &str, len: Option<u64>) -> Meter {
        let target = match self {
            Self::Bars => ProgressDrawTarget::stderr(),
            Self::Hidden => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(len, target);
        let (style, template) = match len {
            Some(_) => (
                ProgressStyle::default_bar(),
                "{msg} [{wide_bar}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
            ),
            None => (
                ProgressStyle::default_spinner(),
                "{spinner} {msg} {binary_bytes} {binary_bytes_per_sec} {elapsed}",
            ),
        };
        // A template that does not parse is a mistake of this file, shown by its test.
        bar.set_style(style.clone().template(template).unwrap_or(style));
        bar.set_message(shown(name));
        Meter {
            bar,
            has_heard: false,
        }
    }
}

/// Watches one operation, and takes its bar away at the end.
#[derive(Debug)]
pub(crate) struct Meter {
    bar: ProgressBar,
    has_heard: bool,
}

impl Meter {
    /// Whether any byte of the reply has come.
    pub(crate) fn has_heard(&self) -> bool {
        self.has_heard
    }

    /// Whether any content has been sent or received.
    pub(crate) fn has_moved(&self) -> bool {
        self.bar.position() > 0
    }
}

impl Observer for Meter {
    fn first_byte(&mut self) {
        self.has_heard = true;
    }

    fn content(&mut self, total: u64) {
        self.bar.set_position(total);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_parse() {
        for len in [None, Some(3)] {
            let mut meter = Display::Hidden.meter("a\u{1b}", len);
            meter.content(2);
            assert_eq!(
                (meter.bar.position(), meter.bar.message()),
                (2, "a\\u{1b}".to_owned())
            );
        }
    }
}
