//! What can go wrong, one variant per decision a caller makes.

use std::fmt;
use std::io;
use std::time::Duration;

use proto::reply::Code;

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server's name does not resolve.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// What was to be resolved.
        host: String,
        /// Why not.
        source: io::Error,
    },
    /// Nothing listens there, or no route leads there.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// No connection within the connect timeout.
    #[error("no connection within {0:?}")]
    ConnectTimeout(Duration),
    /// The kernel does not grant the congestion control that [`crate::Congestion::Named`] asked for.
    #[error("cannot use congestion control '{name}': {source}")]
    Congestion {
        /// What was asked for.
        name: String,
        /// Why not.
        source: io::Error,
    },
    /// The operation was not done in time, or no byte moved for too long. An upload may or may not
    /// be stored.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection was reset, or closed before all of the request was sent. An upload may or may not
    /// be stored.
    #[error("the connection was reset: {0}")]
    Reset(#[source] io::Error),
    /// The server closed before its reply was complete, the request having been sent. An upload may or
    /// may not be stored.
    #[error("the server closed the connection before the reply was complete")]
    Eof,
    /// The server answered with something else than a reply.
    #[error(transparent)]
    BadReply(#[from] proto::reply::BadReply),
    /// The server answered with a reply that is none to this request.
    #[error("the reply does not fit the request: {0}")]
    Unexpected(String),
    /// The reply is longer than [`crate::Options`] allow.
    #[error("{part} is longer than {limit} bytes{}", instead_of_content(under.as_deref()))]
    TooLong {
        /// Of what there is too much.
        part: Part,
        /// How much of it is allowed, in bytes.
        limit: u64,
        /// The key of the longest value in a reply to GET that has no content.
        under: Option<String>,
    },
    /// The server refused: `status` was not OK. Whether the connection goes on depends on more than this
    /// error: [`crate::Connection::is_usable`] knows.
    #[error("{message}")]
    Refused {
        /// The stable code, where the server sent one.
        code: Option<String>,
        /// The server's own words.
        message: String,
    },
    /// What was received or stored is not what was sent: sizes or checksums differ.
    #[error("content differs: {0}")]
    Mismatch(String),
    /// Reading the source or writing the sink failed, on this side.
    #[error("{0}")]
    Local(#[source] io::Error),
    /// The [`crate::Interrupt`] came.
    #[error("interrupted")]
    Interrupted,
    /// The connection can carry no other request, and nothing of this one was sent: connect anew.
    #[error("this connection cannot be used again: {0}")]
    Unusable(&'static str),
}

/// What a reply consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The content of a download.
    Content,
    /// All else, a listing too.
    Rest,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Content => "the content",
            Self::Rest => "the reply",
        })
    }
}

fn instead_of_content(under: Option<&str>) -> String {
    under.map_or_else(String::new, |key| {
        let key = key.escape_debug();
        format!("; expected 'data_file', found '{key}'")
    })
}

impl Error {
    /// Whether the server has no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: Some(code), .. } if code == Code::NotFound.as_str())
    }

    /// Whether, after this error of an upload or a delete, the server may or may not have carried
    /// it out. It must then not be sent again blindly.
    pub const fn leaves_fate_unknown(&self) -> bool {
        match self {
            Self::Timeout(_)
            | Self::Reset(_)
            | Self::Eof
            | Self::BadReply(_)
            | Self::Unexpected(_)
            | Self::TooLong { .. }
            | Self::Interrupted => true,
            Self::Resolve { .. }
            | Self::Connect(_)
            | Self::ConnectTimeout(_)
            | Self::Congestion { .. }
            | Self::Refused { .. }
            | Self::Mismatch(_)
            | Self::Local(_)
            | Self::Unusable(_) => false,
        }
    }
}
