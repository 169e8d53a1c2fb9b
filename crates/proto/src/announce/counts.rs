//! What a server counts. Each counter is named once, in these tables; sums and identities follow from them.

use serde::{Deserialize, Serialize};

use super::Limit;
use crate::{Code, Verb};

/// What can be added up. It wraps: these are numbers that a worker wrote, which may be nonsense.
pub trait AddUp {
    /// Adds another's numbers to these.
    fn add_up(&mut self, other: &Self);
}

impl AddUp for u64 {
    fn add_up(&mut self, other: &Self) {
        *self = self.wrapping_add(*other);
    }
}

/// A struct of counters, which can be added up.
macro_rules! counters {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        $(#[$meta])*
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
        }

        impl AddUp for $name {
            fn add_up(&mut self, other: &Self) {
                $(self.$field.add_up(&other.$field);)*
            }
        }
    };
}

/// A struct with a number for each value of an enum, under the value's word.
macro_rules! numbers_by {
    ($(#[$meta:meta])* $name:ident, $key:ident { $($field:ident: $variant:ident,)* }) => {
        counters! {
            $(#[$meta])*
            #[derive(Copy)]
            $name {
                $(#[doc = concat!("[`", stringify!($key), "::", stringify!($variant), "`]")] $field: u64,)*
            }
        }

        impl $name {
            /// The number for one of them.
            pub fn get_mut(&mut self, key: $key) -> &mut u64 {
                match key {
                    $($key::$variant => &mut self.$field,)*
                }
            }

            /// Each with its number, in the order of their declaration.
            #[must_use]
            pub const fn all(&self) -> [($key, u64); $key::ALL.len()] {
                [$(($key::$variant, self.$field),)*]
            }

            /// The sum, which wraps.
            #[must_use]
            pub const fn total(&self) -> u64 {
                0u64$(.wrapping_add(self.$field))*
            }
        }
    };
}

numbers_by! {
    /// A number for each verb.
    ByVerb, Verb {
        list: List,
        get: Get,
        upload: Upload,
        delete: Delete,
    }
}

numbers_by! {
    /// A number for each error code.
    #[serde(default)]
    ByCode, Code {
        bad_request: BadRequest,
        bad_name: BadName,
        bad_base64: BadBase64,
        unknown_verb: UnknownVerb,
        not_found: NotFound,
        too_large: TooLarge,
        no_space: NoSpace,
        busy: Busy,
        timeout: Timeout,
        shutting_down: ShuttingDown,
        internal: Internal,
    }
}

numbers_by! {
    /// A number for each limit.
    #[serde(default)]
    ByLimit, Limit {
        rlimit_nofile: RlimitNofile,
        file_max: FileMax,
        max_user_watches: MaxUserWatches,
        memory: Memory,
        network: Network,
    }
}

counters! {
    /// Connections and requests, apart.
    Counts {
        /// Connections.
        connections: Connections,
        /// Requests.
        requests: Requests,
    }
}

counters! {
    /// `accepted = closed + client_gone + timed_out + refused + aborted_by_stop + aborted_by_crash + in_flight`
    Connections {
        /// Taken from the listener.
        accepted: u64,
        /// Ended in good order, by either side.
        closed: u64,
        /// The peer vanished in the middle of a request or reply.
        client_gone: u64,
        /// Ended by one of the deadlines or the least rate.
        timed_out: u64,
        /// Ended after broken framing or over a limit.
        refused: u64,
        /// Those of `refused` whose address had as many connections as it may have.
        #[serde(default)]
        refused_over_address_cap: u64,
        /// Cut by a stop.
        aborted_by_stop: u64,
        /// Cut by the death of the worker; booked by the parent.
        aborted_by_crash: u64,
        /// Still open.
        in_flight: u64,
        /// Accepts that failed for something that is short for a while; nobody was lost for it.
        #[serde(default)]
        accept_errors: u64,
        /// The same by what was short.
        #[serde(default)]
        accept_errors_by_limit: ByLimit,
    }
}

counters! {
    /// `started = Σ ok + Σ errors + client_gone + timed_out + aborted_by_stop + aborted_by_crash + in_flight`.
    /// A request starts when its head is complete or refused.
    Requests {
        /// Heads that were complete, or refused.
        started: u64,
        /// Carried out, by verb.
        ok: ByVerb,
        /// Decoded content bytes of the requests in `ok` (for `list` the bytes of the reply's JSON).
        ok_bytes: ByVerb,
        /// Answered with an error, by code.
        errors: ByCode,
        /// The peer vanished before the request was answered.
        client_gone: u64,
        /// The peer was too slow.
        timed_out: u64,
        /// Cut by a stop.
        aborted_by_stop: u64,
        /// Cut by the death of the worker; booked by the parent.
        aborted_by_crash: u64,
        /// Not answered yet.
        in_flight: u64,
        /// Those that are over, however they ended, and whose line in the access log could not be written.
        #[serde(default)]
        unlogged: u64,
        /// Encoded content of replies that was sent from the encoded cache, of those that broke off too.
        #[serde(default)]
        sent_from_cache_bytes: u64,
    }
}

impl Connections {
    /// How they ended, under the words for it. With those in flight these are all that were accepted.
    #[must_use]
    pub const fn ends(&self) -> [(&'static str, u64); 6] {
        [
            ("closed", self.closed),
            ("client_gone", self.client_gone),
            ("timed_out", self.timed_out),
            ("refused", self.refused),
            ("aborted_by_stop", self.aborted_by_stop),
            ("aborted_by_crash", self.aborted_by_crash),
        ]
    }

    /// Whether the identity in this type's documentation holds.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.accepted == sum(self.ends()).wrapping_add(self.in_flight)
    }

    /// Takes for in flight what has begun and not ended.
    pub fn settle(&mut self) {
        self.in_flight = left(self.accepted, self.ends());
    }
}

impl Requests {
    /// How those ended that were not answered, under the words for it. With those in flight and those answered they are all
    /// that were started.
    #[must_use]
    pub const fn unanswered(&self) -> [(&'static str, u64); 4] {
        [
            ("client_gone", self.client_gone),
            ("timed_out", self.timed_out),
            ("aborted_by_stop", self.aborted_by_stop),
            ("aborted_by_crash", self.aborted_by_crash),
        ]
    }

    const fn answered(&self) -> [(&'static str, u64); 2] {
        [("ok", self.ok.total()), ("errors", self.errors.total())]
    }

    /// Whether the identity in this type's documentation holds.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let ended = sum(self.answered()).wrapping_add(sum(self.unanswered()));
        self.started == ended.wrapping_add(self.in_flight)
    }

    /// Takes for in flight what has begun and not ended.
    pub fn settle(&mut self) {
        self.in_flight = left(left(self.started, self.answered()), self.unanswered());
    }
}

fn sum<const N: usize>(ends: [(&str, u64); N]) -> u64 {
    ends.iter().fold(0, |sum, (_, n)| sum.wrapping_add(*n))
}

fn left<const N: usize>(begun: u64, ends: [(&str, u64); N]) -> u64 {
    ends.iter()
        .fold(begun, |left, (_, n)| left.saturating_sub(*n))
}
