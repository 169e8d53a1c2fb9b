//! READY and DONE: the two JSON lines a server prints on standard output for the program that started it.
//!
//! READY says what is in force; DONE is the ledger. A reader must ignore keys it does not know.

mod counts;
mod limit;

use serde::{Deserialize, Serialize};

pub use counts::{AddUp, ByCode, ByLimit, ByVerb, Connections, Counts, Requests};
pub use limit::Limit;

/// One line of a server's standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
#[expect(
    clippy::large_enum_variant,
    reason = "there are two of them in a server's life"
)]
pub enum Announcement {
    /// The pool is full and the address is being served.
    Ready(Ready),
    /// The server has stopped; the last line.
    Done(Done),
}

impl Announcement {
    /// The line, without its end.
    #[must_use]
    pub fn to_line(&self) -> String {
        // Plain structs of numbers and strings: serialising them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads one line.
    ///
    /// # Errors
    /// What `serde_json` found wrong with it.
    pub fn from_line(line: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(line)
    }
}

/// The server is ready: its address and the settings in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Ready {
    /// The address really bound, with the port the kernel gave for port 0.
    pub address: String,
    /// The parent's process id.
    pub pid: u32,
    /// The program's version.
    pub version: String,
    /// `process`, `thread` or `event`.
    pub pool: String,
    /// The pool's size.
    pub workers: u32,
    /// Process ids of the worker processes, by slot (one for the thread pool).
    pub worker_pids: Vec<u32>,
    /// The effective settings.
    pub settings: Settings,
}

/// Effective settings, as the server applies them. Durations in milliseconds, sizes in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Settings {
    /// The directory that is served, absolute.
    pub root: String,
    /// The file system of the root, `ext4` for instance.
    pub root_file_system: String,
    /// How uploads become durable: `none`, `data` or `full`.
    pub durability: String,
    /// How stored files come into being: `tmpfile` (`O_TMPFILE`) or `named` (a hidden temporary); `none` under
    /// `--read-only`.
    pub temporaries: String,
    /// UPLOAD and DELETE are refused.
    #[serde(default)]
    pub read_only: bool,
    /// `auto`, `system` or a name.
    pub congestion: String,
    /// The congestion control in force for a loopback peer.
    pub congestion_loopback: String,
    /// The congestion control in force for other peers.
    pub congestion_other: String,
    /// The length of the listening queue that was asked for.
    pub backlog: u32,
    /// The receive buffer in bytes if one was set; none where the kernel tunes it.
    pub receive_buffer_bytes: Option<u64>,
    /// How many connections an event worker holds at once; none for the others.
    #[serde(default)]
    pub event_connections: Option<u32>,
    /// How many connections a blocking worker sets aside while it serves another; none for an event worker.
    #[serde(default)]
    pub set_aside: Option<u32>,
    /// For how many seconds the kernel keeps a connection that has sent nothing, as the kernel rounds it; none
    /// when off.
    #[serde(default)]
    pub defer_accept_s: Option<u32>,
    /// Accept to complete head.
    pub head_timeout_ms: u64,
    /// Idle between requests.
    pub idle_timeout_ms: u64,
    /// The least rate while a body moves, bytes per second.
    pub rate_min_bytes_per_s: u64,
    /// The window over which the least rate is taken.
    pub rate_window_ms: u64,
    /// How long a graceful stop may take.
    pub drain_timeout_ms: u64,
    /// How long a replaced worker may take to finish what it has in hand.
    #[serde(default)]
    pub retire_timeout_ms: u64,
    /// How long a worker may take to become ready.
    #[serde(default)]
    pub boot_timeout_ms: u64,
    /// How long a worker may go without a sign of life; 0 for ever.
    #[serde(default)]
    pub worker_timeout_ms: u64,
    /// After so many requests a worker is replaced; none for never.
    #[serde(default)]
    pub max_requests: Option<u64>,
    /// The largest upload, decoded.
    pub upload_len_max: u64,
    /// The longest head.
    pub head_len_max: u64,
    /// Connections that one address may have open at once; none when off.
    #[serde(default)]
    pub connections_per_address_max: Option<u32>,
    /// Free space that uploads leave on the file system.
    pub min_free_bytes: u64,
    /// What all files under the root may hold together, in bytes; none when off.
    #[serde(default)]
    pub root_bytes_max: Option<u64>,
    /// How much memory holds files that are encoded already, in bytes; none when off, and then not written, as by servers
    /// that have no such memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoded_cache_bytes: Option<u64>,
    /// Where requests are written down; none when off.
    #[serde(default)]
    pub access_log: Option<String>,
    /// Where log lines go; none for standard error.
    #[serde(default)]
    pub log_file: Option<String>,
    /// Silence after which an unterminated request counts as ended; none when off.
    pub accept_unterminated_ms: Option<u64>,
    /// The user that parent and workers run as, by name.
    #[serde(default)]
    pub user: String,
    /// The same by number.
    #[serde(default)]
    pub uid: u32,
    /// What workers are kept from.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// The admin socket; none when off.
    #[serde(default)]
    pub admin: Option<String>,
    /// The address that answers `/metrics`, as bound; none when off.
    #[serde(default)]
    pub metrics: Option<String>,
}

/// What workers are kept from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Sandbox {
    /// What was asked for: `auto`, `off` or `require`.
    pub mode: String,
    /// `full` (all that is asked for), `partial` (what this kernel can) or `none`.
    pub level: String,
    /// The version of Landlock that confines the workers to the root; none if nothing does.
    pub landlock_abi: Option<u32>,
    /// What that version does not deny: `files`, `truncate`, `tcp`, `device_ioctl`, `abstract_sockets`,
    /// `signals`, `unix_sockets`, `udp`.
    pub not_denied: Vec<String>,
    /// What that version leaves them in the root: `read_write`, or `read` under `--read-only`; none if nothing
    /// confines them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_access: Option<String>,
    /// No program that a worker might start could gain privileges.
    pub no_new_privs: bool,
}

/// How the server ended, with its ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Done {
    /// `drained`, `stopped` (second signal, QUIT or `--exit-with-stdin`), `handed_over` (after an upgrade), or
    /// `gave_up`.
    pub reason: String,
    /// From the stop signal to the last worker's end.
    pub stop_ms: u64,
    /// One entry per slot, in slot order.
    pub workers: Vec<WorkerLedger>,
    /// The sum over all slots.
    pub sum: Counts,
    /// CPU time of all worker processes that ever lived, user, microseconds.
    pub cpu_user_us: u64,
    /// CPU time of all worker processes that ever lived, system, microseconds.
    pub cpu_system_us: u64,
    /// The largest VmHWM of any worker process that could be read; none if none could.
    pub peak_rss_bytes: Option<u64>,
    /// Worker processes that ended without being asked to.
    pub crashes: u32,
    /// The two conservation identities hold for every slot and in sum.
    pub balanced: bool,
}

/// What one slot did over all its generations.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkerLedger {
    /// The slot, from 0.
    pub slot: u32,
    /// The last process id in this slot.
    pub pid: u32,
    /// How many processes the slot has had, the first included.
    pub generations: u32,
    /// How many of them ended without being asked to (for the thread pool: the shared process's).
    pub crashes: u32,
    /// Connections and requests.
    pub counts: Counts,
    /// CPU time, user, microseconds; none for a thread, whose process is shared.
    pub cpu_user_us: Option<u64>,
    /// CPU time, system, microseconds; none for a thread.
    pub cpu_system_us: Option<u64>,
    /// VmHWM of this slot's last process that could be read; none for a thread.
    pub peak_rss_bytes: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Code, Verb};

    fn ready() -> Ready {
        let settings = Settings {
            root: "/srv/files".into(),
            root_file_system: "ext4".into(),
            durability: "none".into(),
            temporaries: "tmpfile".into(),
            read_only: false,
            congestion: "auto".into(),
            congestion_loopback: "reno".into(),
            congestion_other: "cubic".into(),
            backlog: 1024,
            receive_buffer_bytes: None,
            event_connections: Some(1024),
            set_aside: None,
            defer_accept_s: None,
            head_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            rate_min_bytes_per_s: 1024,
            rate_window_ms: 10_000,
            drain_timeout_ms: 30_000,
            retire_timeout_ms: 3_600_000,
            boot_timeout_ms: 10_000,
            worker_timeout_ms: 60_000,
            max_requests: None,
            upload_len_max: 1 << 32,
            head_len_max: 1024,
            connections_per_address_max: None,
            min_free_bytes: 0,
            root_bytes_max: None,
            encoded_cache_bytes: Some(1 << 20),
            access_log: None,
            log_file: None,
            accept_unterminated_ms: Some(50),
            user: "www".into(),
            uid: 33,
            sandbox: Sandbox {
                mode: "auto".into(),
                level: "partial".into(),
                landlock_abi: Some(7),
                not_denied: vec!["udp".into()],
                root_access: Some("read_write".into()),
                no_new_privs: true,
            },
            admin: None,
            metrics: Some("127.0.0.1:9466".into()),
        };
        Ready {
            address: "127.0.0.1:6666".into(),
            pid: 1,
            version: "0.1.0".into(),
            pool: "process".into(),
            workers: 2,
            worker_pids: vec![2, 3],
            settings,
        }
    }

    fn done() -> Done {
        Done {
            reason: "drained".into(),
            stop_ms: 1,
            workers: vec![WorkerLedger {
                slot: 0,
                pid: 2,
                generations: 1,
                crashes: 0,
                counts: Counts::default(),
                cpu_user_us: Some(1),
                cpu_system_us: None,
                peak_rss_bytes: None,
            }],
            sum: Counts::default(),
            cpu_user_us: 1,
            cpu_system_us: 2,
            peak_rss_bytes: Some(3),
            crashes: 0,
            balanced: true,
        }
    }

    #[test]
    fn an_announcement_is_one_line_and_is_read_as_it_was_written() {
        for announcement in [Announcement::Ready(ready()), Announcement::Done(done())] {
            let line = announcement.to_line();
            assert!(!line.contains('\n'));
            assert_eq!(Announcement::from_line(&line).unwrap(), announcement);
        }
    }

    #[test]
    fn a_reader_ignores_keys_it_does_not_know() {
        let line = Announcement::Done(done()).to_line();
        let newer = line.replace("\"event\":\"done\"", "\"event\":\"done\",\"news\":[1]");
        assert_ne!(newer, line);
        assert_eq!(
            Announcement::from_line(&newer).unwrap(),
            Announcement::Done(done())
        );
    }

    #[test]
    fn one_connection_too_many_breaks_the_balance() {
        let mut connections = Connections {
            accepted: 3,
            closed: 2,
            in_flight: 1,
            ..Default::default()
        };
        assert!(connections.is_balanced());
        connections.accepted += 1;
        assert!(!connections.is_balanced());
    }

    #[test]
    fn every_code_and_verb_has_its_own_number() {
        let mut errors = ByCode::default();
        for code in Code::ALL {
            *errors.get_mut(code) += 1;
            assert_eq!(*errors.get_mut(code), 1);
        }
        assert_eq!(errors.total(), Code::ALL.len() as u64);
        let mut verbs = ByVerb::default();
        for verb in Verb::ALL {
            *verbs.get_mut(verb) += 1;
            assert_eq!(*verbs.get_mut(verb), 1);
        }
        assert_eq!(verbs.total(), Verb::ALL.len() as u64);
    }
}
