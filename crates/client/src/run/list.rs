//! `prefork-client list`.

use std::io;

use crate::exit::Exit;
use crate::outcome::{Failure, Operation};
use crate::progress::Display;
use crate::report;

use super::Run;

/// Prints what is on the server.
pub(super) fn run(run: &mut Run<'_>) -> io::Result<Exit> {
    let mut meter = Display::Hidden.meter("", None);
    let result = run
        .link
        .repeatable(&mut meter, |connection, meter| connection.list(meter));
    match result {
        Ok(listing) => match report::listing(run.style, &listing.names, listing.truncated) {
            // `list | head -1` has got what it wanted.
            Err(error) if report::is_closed(&error) => Ok(Exit::Done),
            result => result.map(|()| Exit::Done),
        },
        Err(error) => {
            let failure = Failure::of(error, Operation::List, run.link.server(), "");
            let failure = run.explain(failure);
            report::no_listing(run.style, &failure)?;
            Ok(Exit::of_failures([&failure]))
        }
    }
}
