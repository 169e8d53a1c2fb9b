//! What became of one file: done, or how it failed. Errors are told with their remedy.

use std::io;

use client::{Error, Part};
use serde::Serialize;

use crate::address::Address;
use crate::text::plain;

/// What was to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Operation {
    List,
    Get,
    Upload,
    Delete,
}

impl Operation {
    /// The word for a success.
    pub(crate) const fn done(self) -> &'static str {
        match self {
            Self::List => "listed",
            Self::Get => "downloaded",
            Self::Upload => "uploaded",
            Self::Delete => "deleted",
        }
    }

    /// Whether carrying it out changes what is on the server.
    const fn changes_server(self) -> bool {
        match self {
            Self::List | Self::Get => false,
            Self::Upload | Self::Delete => true,
        }
    }
}

/// One file's end.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) operation: Operation,
    pub(crate) name: String,
    pub(crate) result: Result<Done, Failure>,
}

impl Outcome {
    pub(crate) fn failure(&self) -> Option<&Failure> {
        self.result.as_ref().err()
    }
}

/// Success; a delete knows nothing of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Done {
    Moved {
        size: u64,
        crc32: u32,
        verified: bool,
    },
    Deleted,
}

/// The reasons for a failure that a script may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) enum Kind {
    Refused,
    Mismatch,
    Local,
    Timeout,
    Reset,
    Eof,
    BadReply,
    Connect,
    Interrupted,
    /// Whoever read the content from a pipe has gone: nothing to complain about.
    OutputClosed,
    NotTried,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    /// The server's, where it refused with one.
    pub(crate) code: Option<String>,
    /// For a person; not escaped.
    pub(crate) message: String,
    pub(crate) fate: Fate,
}

/// What a failure leaves of an upload or a delete on the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    NotDone,
    /// Nothing, although a part of it was sent: a prefork-server stores what is whole.
    NotStored,
    /// Nothing on a prefork-server, and on another maybe the part that was sent.
    PartAtMost,
    /// It may have been carried out all the same.
    Unknown,
}

impl Fate {
    pub(crate) const fn is_unknown(self) -> bool {
        matches!(self, Self::PartAtMost | Self::Unknown)
    }
}

impl Failure {
    /// Something on this side.
    pub(crate) fn local(message: String) -> Self {
        Self {
            kind: Kind::Local,
            code: None,
            message,
            fate: Fate::NotDone,
        }
    }

    /// A reply that makes sense in part.
    pub(crate) fn bad_reply(message: String) -> Self {
        Self {
            kind: Kind::BadReply,
            ..Self::local(message)
        }
    }

    /// A file whose turn did not come.
    pub(crate) fn not_tried() -> Self {
        Self {
            kind: Kind::NotTried,
            ..Self::local("not tried".to_owned())
        }
    }

    /// The same failure as the user's own doing.
    pub(crate) fn by_interrupt(self) -> Self {
        Self {
            kind: Kind::Interrupted,
            fate: self.fate,
            ..Self::local("interrupted".to_owned())
        }
    }

    /// What the library says, in words that name the remedy. `local` says what of this machine is read
    /// or written.
    pub(crate) fn of(error: Error, operation: Operation, server: &Address, local: &str) -> Self {
        let fate = match operation.changes_server() && error.leaves_fate_unknown() {
            true => Fate::Unknown,
            false => Fate::NotDone,
        };
        let kind = kind(&error);
        let message = message(&error, operation, server, local);
        let code = match error {
            Error::Refused { code, .. } => code,
            _ => None,
        };
        Self {
            kind,
            code,
            message,
            fate,
        }
    }

    /// The same failure where it is known how far the upload had come.
    pub(crate) fn of_upload(self, fate: Fate) -> Self {
        match self.fate {
            Fate::Unknown => Self { fate, ..self },
            _ => self,
        }
    }

    /// Whether to try the next file makes sense.
    pub(crate) fn ends_run(&self) -> bool {
        matches!(self.kind, Kind::Connect | Kind::Interrupted)
    }
}

fn kind(error: &Error) -> Kind {
    match error {
        Error::Refused { .. } => Kind::Refused,
        Error::Mismatch(_) => Kind::Mismatch,
        Error::Timeout(_) => Kind::Timeout,
        Error::Eof => Kind::Eof,
        Error::BadReply(_) | Error::Unexpected(_) | Error::TooLong { .. } => Kind::BadReply,
        Error::Resolve { .. }
        | Error::Connect(_)
        | Error::ConnectTimeout(_)
        | Error::Congestion { .. } => Kind::Connect,
        Error::Interrupted => Kind::Interrupted,
        Error::Local(source) if source.kind() == io::ErrorKind::BrokenPipe => Kind::OutputClosed,
        Error::Local(_) => Kind::Local,
        // What is left breaks the connection.
        _ => Kind::Reset,
    }
}

fn message(error: &Error, operation: Operation, server: &Address, local: &str) -> String {
    const ELSEWHERE: &str = "or name another with --server HOST:PORT";
    match error {
        Error::Resolve { source, .. } => {
            format!(
                "cannot find {}: {} — check its spelling, {ELSEWHERE}",
                server.host,
                plain(source)
            )
        }
        Error::Connect(source) if source.kind() == io::ErrorKind::ConnectionRefused => format!(
            "cannot connect to {server}: connection refused — is the server running? start one with \
             `prefork-server`, {ELSEWHERE}"
        ),
        Error::Connect(source) => {
            format!(
                "cannot connect to {server}: {} — check the address, {ELSEWHERE}",
                plain(source)
            )
        }
        Error::ConnectTimeout(limit) => format!(
            "cannot connect to {server}: no answer within {} — check the address, wait longer with \
             --connect-timeout, {ELSEWHERE}",
            humantime::format_duration(*limit)
        ),
        Error::Congestion { name, source } => format!(
            "cannot use congestion control '{name}': {} — leave out --congestion, or see \
             /proc/sys/net/ipv4/tcp_allowed_congestion_control",
            plain(source)
        ),
        Error::Timeout(limit) => format!(
            "no byte moved for {} — wait longer with --timeout; a server that waits for another end of \
             the request needs --terminator",
            humantime::format_duration(*limit)
        ),
        Error::Reset(source) => format!("the connection broke: {}", plain(source)),
        Error::BadReply(bad) => format!("{bad} — is {server} a file server of this protocol?"),
        Error::TooLong { part, .. } => match (part, operation) {
            (Part::Content, _) => format!("{error} — allow more with --download-max"),
            (_, Operation::List) => format!("{error} — allow more with --listing-max"),
            _ => format!("{error} — is {server} a file server of this protocol?"),
        },
        Error::Local(source) => format!("{local}: {}", plain(source)),
        other => other.to_string(),
    }
}
