//! `prefork-client list`.

use std::io;

use cli_kit::output;
use client::FileName;

use crate::exit::Exit;
use crate::outcome::{Failure, Operation};
use crate::progress::Display;
use crate::report;

use super::Run;

/// So many of a server's wrong names are told.
const TOLD_MAX: usize = 5;

/// Prints what is on the server: file names only, so that whoever takes one for a path stays in his folder.
pub(super) fn run(run: &mut Run<'_>) -> io::Result<Exit> {
    let mut meter = Display::Hidden.meter("", None);
    let result = run
        .link
        .repeatable(&mut meter, |connection, meter| connection.list(meter));
    let (names, truncated, failure) = match result {
        Ok(listing) => {
            let (names, wrong): (Vec<_>, Vec<_>) = listing
                .names
                .into_iter()
                .partition(|name| FileName::parse(name.as_bytes()).is_ok());
            let failure = (!wrong.is_empty()).then(|| Failure::bad_reply(told(&wrong)));
            (names, listing.truncated, failure)
        }
        Err(error) => {
            let failure = Failure::of(error, Operation::List, run.link.server(), "");
            (Vec::new(), false, Some(run.explain(failure)))
        }
    };
    match report::listing(run.style, &names, truncated, failure.as_ref()) {
        // `list | head -1` has got what it wanted.
        Err(error) if output::is_closed(&error) => {}
        result => result?,
    }
    Ok(Exit::of_failures(&failure))
}

fn told(wrong: &[String]) -> String {
    let shown: Vec<_> = wrong
        .iter()
        .take(TOLD_MAX)
        .map(|name| format!("'{name}'"))
        .collect();
    let more = match wrong.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = match wrong.len() {
        1 => "a name that is not a file name",
        _ => "names that are not file names",
    };
    format!(
        "the server lists {what}, left out here: {}{more}",
        shown.join(", ")
    )
}
