//! What a session says of a request that failed on the server's side, for the log.

use proto::{FileName, Verb};

use crate::store::StoreError;

/// A request that the client is not to blame for.
#[derive(Debug)]
pub struct Failure {
    /// What was asked for.
    pub verb: Option<Verb>,
    /// Of which file, where there is one.
    pub name: Option<FileName>,
    /// Why it was not carried out.
    pub error: StoreError,
    /// A part of the reply was out already: what the client has is no reply.
    pub is_broken_off: bool,
}
