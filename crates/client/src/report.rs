//! What the user reads: a line for each file and a summary on standard error, or JSON on standard output.

use std::io::{self, Write};

use cli_kit::output::say;
use indicatif::BinaryBytes;
use serde::Serialize;

use crate::outcome::{Done, Failure, Fate, Kind, Operation, Outcome};
use crate::text::shown;

/// How much is said, and in which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Lines,
    /// Only what went wrong.
    Quiet,
    Json,
}

/// One file as JSON.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FileJson<'a> {
    /// The file's name on the server.
    name: &'a str,
    /// What was to be done with it.
    operation: Operation,
    /// It is done.
    ok: bool,
    /// Content bytes that were moved; null of a delete, and of what is not done.
    size: Option<u64>,
    /// Their CRC-32, eight hexadecimal digits.
    crc32: Option<String>,
    /// Whether both sides' sizes and checksums agree: not where the server sent no checksum.
    verified: Option<bool>,
    /// Why it is not done.
    error: Option<ErrorJson<'a>>,
}

/// A listing as JSON.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ListingJson<'a> {
    /// `list`.
    operation: Operation,
    /// The listing is whole, as far as the server gives it.
    ok: bool,
    /// The files' names.
    names: &'a [String],
    /// The server has more files than it lists.
    truncated: bool,
    /// Why there is none.
    error: Option<ErrorJson<'a>>,
}

/// A failure as JSON.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ErrorJson<'a> {
    /// What kind of failure it is.
    kind: Kind,
    /// The server's code, where it refused with one.
    code: Option<&'a str>,
    /// For a person.
    message: &'a str,
    /// It may have been carried out all the same.
    fate_unknown: bool,
}

impl<'a> From<&'a Failure> for ErrorJson<'a> {
    fn from(failure: &'a Failure) -> Self {
        Self {
            kind: failure.kind,
            code: failure.code.as_deref(),
            message: &failure.message,
            fate_unknown: failure.fate.is_unknown(),
        }
    }
}

/// Prints a listing, and what was wrong with it, or why there is none.
///
/// # Errors
/// What writing to standard output gives.
pub(crate) fn listing(
    style: Style,
    names: &[String],
    truncated: bool,
    failure: Option<&Failure>,
) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    if style == Style::Json {
        return json_line(
            &mut out,
            &ListingJson {
                operation: Operation::List,
                ok: failure.is_none(),
                names,
                truncated,
                error: failure.map(Into::into),
            },
        );
    }
    for name in names {
        writeln!(out, "{}", shown(name))?;
    }
    out.flush()?;
    if truncated {
        say("warning: the server has more files than it lists");
    }
    if let Some(failure) = failure {
        say(format_args!("error: {}", explained(failure)));
    }
    Ok(())
}

/// Tells of one file as soon as it is through.
///
/// # Errors
/// What writing to standard output gives.
pub(crate) fn file(style: Style, outcome: &Outcome) -> io::Result<()> {
    let name = shown(&outcome.name);
    match (style, &outcome.result) {
        (Style::Json, _) => json_line(&mut io::stdout().lock(), &file_json(outcome))?,
        (Style::Quiet, Ok(_)) => {}
        (Style::Lines, Ok(done)) => say(format_args!("{name}: {}", told(outcome.operation, *done))),
        (_, Err(failure)) if failure.kind == Kind::OutputClosed => {}
        // The summary has the names.
        (_, Err(failure)) if failure.kind == Kind::NotTried => {}
        (_, Err(failure)) => say(format_args!("error: {name}: {}", explained(failure))),
    }
    Ok(())
}

/// After several files: which are done, which are not, and why.
pub(crate) fn summary(style: Style, outcomes: &[Outcome]) {
    let failed = outcomes.iter().filter_map(Outcome::failure).count();
    let (count, done) = (outcomes.len(), outcomes.len() - failed);
    match style {
        Style::Json => {}
        _ if count < 2 => {}
        Style::Quiet if failed == 0 => {}
        Style::Lines | Style::Quiet => {
            say(format_args!("{done} of {count} files done"));
            if failed > 0 {
                say(groups(outcomes).trim_end());
            }
        }
    }
}

/// One line for each way in which files ended.
fn groups(outcomes: &[Outcome]) -> String {
    let names = |belongs: fn(&Outcome) -> bool| {
        let names = outcomes.iter().filter(|outcome| belongs(outcome));
        let names: Vec<String> = names.map(|outcome| shown(&outcome.name)).collect();
        names.join(", ")
    };
    let mut text = String::new();
    let mut line = |heading: &str, content: String| {
        if !content.is_empty() {
            text += &format!("  {heading:<10} {content}\n");
        }
    };
    line("done:", names(|outcome| outcome.result.is_ok()));
    for outcome in outcomes {
        if let Some(failure) = outcome.failure()
            && !failure.fate.is_unknown()
            && failure.kind != Kind::NotTried
        {
            let reason = match failure.kind {
                // The whole sentence stands right above.
                Kind::Connect => "no connection".to_owned(),
                _ => short(failure),
            };
            line("failed:", format!("{}: {reason}", shown(&outcome.name)));
        }
    }
    line(
        "unknown:",
        names(|it| it.failure().is_some_and(|it| it.fate.is_unknown())),
    );
    line(
        "not tried:",
        names(|it| it.failure().is_some_and(|it| it.kind == Kind::NotTried)),
    );
    text
}

fn told(operation: Operation, done: Done) -> String {
    let what = operation.done();
    match done {
        Done::Deleted => what.to_owned(),
        Done::Moved {
            size,
            crc32,
            verified,
        } => {
            let bytes = BinaryBytes(size);
            let verified = if verified {
                "verified"
            } else {
                "not verified: the server sent no checksum"
            };
            format!("{what}, {bytes}, CRC-32 {crc32:08x}, {verified}")
        }
    }
}

fn explained(failure: &Failure) -> String {
    let reason = short(failure);
    let ask = "see what `prefork-client list` shows before trying again";
    match failure.fate {
        Fate::NotDone => reason,
        Fate::NotStored => {
            format!("not stored, it was cut before its last byte was sent: {reason}")
        }
        Fate::PartAtMost => format!(
            "cut before its last byte was sent, so a prefork-server has not stored it; another server may have \
             stored what came: {reason} — {ask}"
        ),
        Fate::Unknown => {
            format!("unknown, it may or may not have been carried out: {reason} — {ask}")
        }
    }
}

/// The reason and, where the server gave one, its code.
fn short(failure: &Failure) -> String {
    let message = shown(&failure.message);
    match (&failure.code, failure.kind) {
        (Some(code), _) => format!("refused: {message} ({})", shown(code)),
        (None, Kind::Refused) => format!("refused: {message}"),
        (None, _) => message,
    }
}

fn file_json(outcome: &Outcome) -> FileJson<'_> {
    let (size, crc32, verified) = match outcome.result {
        Ok(Done::Moved {
            size,
            crc32,
            verified,
        }) => (Some(size), Some(format!("{crc32:08x}")), Some(verified)),
        Ok(Done::Deleted) | Err(_) => (None, None, None),
    };
    FileJson {
        name: &outcome.name,
        operation: outcome.operation,
        ok: outcome.result.is_ok(),
        size,
        crc32,
        verified,
        error: outcome.failure().map(Into::into),
    }
}

fn json_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schemas::keep;

    #[test]
    fn the_schemas_are_what_the_types_say() {
        keep::<FileJson<'_>>(
            "client-file",
            "prefork-client get, upload and delete --json: one line a file",
        );
        keep::<ListingJson<'_>>("client-list", "prefork-client list --json");
    }
}
