//! One connection for many files, renewed where that can do no harm.

use std::io::ErrorKind;
use std::time::Duration;

use client::{Connection, Error, Options};

use crate::address::Address;
use crate::interrupt::Signals;
use crate::outcome::Fate;
use crate::progress::Meter;

/// How long after its first reply a server is given to close. Many serve one request for each connection and
/// close right after the reply; an upload sent within that moment would be lost, or worse, half kept. Spent
/// once in a run, and only before an upload or a delete.
const CLOSE_GRACE: Duration = Duration::from_millis(50);

/// The way to the server.
#[derive(Debug)]
pub(crate) struct Link<'a> {
    server: &'a Address,
    options: Options,
    connection: Option<Connection>,
    /// Whether the server leaves connections open after a reply, once that is known.
    keeps_open: Option<bool>,
    is_prefork_server: bool,
}

impl<'a> Link<'a> {
    pub(crate) fn new(server: &'a Address, options: Options, signals: &Signals) -> Self {
        Self {
            server,
            options: Options {
                interrupt: Some(signals.interrupt()),
                ..options
            },
            connection: None,
            keeps_open: None,
            is_prefork_server: false,
        }
    }

    pub(crate) fn server(&self) -> &Address {
        self.server
    }

    /// What may have become of the upload that failed last, where that is not known.
    pub(crate) fn fate_of_upload(&self) -> Fate {
        let sent_all = self.connection.as_ref().is_none_or(Connection::sent_all);
        match sent_all {
            true => Fate::Unknown,
            false if self.is_prefork_server() => Fate::NotStored,
            false => Fate::PartAtMost,
        }
    }

    fn is_prefork_server(&self) -> bool {
        let connection = self.connection.as_ref();
        self.is_prefork_server || connection.is_some_and(Connection::is_prefork_server)
    }

    /// Does what may be done twice. A connection that turns out to be closed before a byte of the reply
    /// has come is replaced once.
    pub(crate) fn repeatable<T>(
        &mut self,
        meter: &mut Meter,
        mut operation: impl FnMut(&mut Connection, &mut Meter) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let is_reused = self.connection.is_some();
        match operation(self.connection(Duration::ZERO)?, meter) {
            Err(Error::Eof | Error::Reset(_) | Error::Unusable(_))
                if is_reused && !meter.has_heard() =>
            {
                operation(self.renew()?, meter)
            }
            result => result,
        }
    }

    /// Does what must not be done twice. The connection is replaced only as long as nothing was sent.
    pub(crate) fn once<T>(
        &mut self,
        mut operation: impl FnMut(&mut Connection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let grace = match self.keeps_open {
            None => CLOSE_GRACE,
            Some(_) => Duration::ZERO,
        };
        // Before the connection goes: it is the same server's after it.
        self.is_prefork_server = self.is_prefork_server();
        if self.keeps_open == Some(false) {
            self.connection = None;
        }
        match operation(self.connection(grace)?) {
            Err(Error::Unusable(_)) => operation(self.renew()?),
            result => result,
        }
    }

    fn connection(&mut self, grace: Duration) -> Result<&mut Connection, Error> {
        match self.connection.take() {
            // One that is closed already, be it for a refusal, says nothing of what follows other replies.
            Some(connection) if connection.is_usable(Duration::ZERO) => {
                let is_usable = grace.is_zero() || connection.is_usable(grace);
                if !grace.is_zero() {
                    self.keeps_open = Some(is_usable);
                }
                match is_usable {
                    true => Ok(self.connection.insert(connection)),
                    false => self.renew(),
                }
            }
            _ => self.renew(),
        }
    }

    fn renew(&mut self) -> Result<&mut Connection, Error> {
        let server = (self.server.host.as_str(), self.server.port);
        match Connection::connect(server, &self.options) {
            Ok(connection) => Ok(self.connection.insert(connection)),
            // Nothing was sent: an upload's fate is then not unknown, as it is after other interrupts.
            Err(Error::Interrupted) => Err(Error::Connect(ErrorKind::Interrupted.into())),
            Err(error) => Err(error),
        }
    }
}
