//! What a session waits for, and why a connection cannot go on.

/// What a session wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Bytes from the peer, into [`super::Session::space`].
    Read(Reading),
    /// To have [`super::Session::output`] sent.
    Write,
    /// To send what [`super::Session::send_encoded`] names.
    Send,
    /// To be told to go on ([`super::Session::go_on`]): a request is over, and what came behind it is there already. Others
    /// may have their turn before.
    Next,
    /// To be told to go on shortly ([`super::Session::resume`]), whatever the peer does: the store cannot yet.
    Resume,
    /// To be told to go on ([`super::Session::resume`]) if the peer is still there. It has sent its end, as one does that waits
    /// for the answer, and as one does that has gone: the first bytes of the answer are out, which only the latter resets.
    Peer,
    /// To stop sending, take a bounded amount of what still comes, and close: closing with input unread would
    /// reset the connection and destroy the reply.
    Linger(Lingering),
    /// To be closed.
    Close,
}

/// How long a closing connection waits for what may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lingering {
    /// Between requests nothing is due but a request that crosses the close on its way.
    Briefly,
    /// After a refusal the peer may still be sending what was refused.
    Fully,
}

/// What is read; each has a clock of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// The first request's head, of which nothing has come.
    First,
    /// The next request's head, of which nothing has come.
    Idle,
    /// The rest of a head.
    Head,
    /// A body.
    Body,
    /// What follows at once a body that may be the first line of a longer text.
    Settling,
}

impl Reading {
    /// A head's first bytes, or more of them.
    #[must_use]
    pub const fn is_of_a_head(self) -> bool {
        matches!(self, Self::First | Self::Idle | Self::Head)
    }
}

/// Why a connection cannot go on, seen from outside the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer stopped sending.
    PeerClosed,
    /// The connection is broken.
    PeerGone,
    /// The peer was too slow.
    TimedOut,
    /// The server stops at once.
    Stopped,
    /// A panic of our own.
    Crashed,
}
