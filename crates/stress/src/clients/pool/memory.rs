//! The memory that a pool of clients shares with the harness: a slot for each operation, which its client fills and the
//! harness reads when the pool is gone. What was complete when a client was killed is there, and while clients are
//! measured nothing is sent or put into words.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};

use prefork_server::sys;
use stress_data::matrix::ClientPool;
use stress_data::record::{Outcome, Record};

use super::Reports;
use crate::clients::operation::{Attempt, DETAIL_LEN_MAX, Job};

const WORD_LEN: usize = size_of::<u64>();
/// How many clients are there, and how many are done.
const HEAD_LEN: usize = 2;
/// Of a process with clients: its wait status and its peak. Each word of these and of a client is one more than it says, 0
/// for nothing.
const MEMBER_LEN: usize = 2;
/// A mark, which is the last to be written and says that the rest is there; four times; two sizes; the length of the detail.
const SLOT_LEN: usize = 8;
/// Behind all slots: of an operation that went well these are never touched, and cost no memory.
const DETAIL_LEN: usize = (DETAIL_LEN_MAX + '…'.len_utf8()).div_ceil(WORD_LEN);
/// In a mark: see [`Attempt::is_unconfirmed`].
const UNCONFIRMED: u64 = 1 << 8;

/// Where in the memory what is, in words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    clients: usize,
    requests: usize,
    members: usize,
}

impl Layout {
    pub(super) fn of(job: &Job) -> Self {
        let clients = job.cell.clients as usize;
        Self {
            clients,
            requests: job.requests() as usize,
            members: match job.cell.client_pool {
                ClientPool::Thread => 1,
                ClientPool::Process => clients,
            },
        }
    }

    /// How many processes have the clients.
    pub(super) const fn members(self) -> usize {
        self.members
    }

    const fn of_member(self, member: usize) -> usize {
        HEAD_LEN + member * MEMBER_LEN
    }

    const fn of_client(self, client: usize) -> usize {
        self.of_member(self.members) + client
    }

    const fn slot(self, operation: usize) -> usize {
        self.of_client(self.clients) + operation * SLOT_LEN
    }

    const fn detail(self, operation: usize) -> usize {
        self.slot(self.clients * self.requests) + operation * DETAIL_LEN
    }

    const fn len(self) -> usize {
        self.detail(self.clients * self.requests)
    }

    /// New memory, for the harness to hand on.
    pub(super) fn memory(self) -> io::Result<File> {
        let file = sys::memory_file("clients")?;
        file.set_len((self.len() * WORD_LEN) as u64)?;
        Ok(file)
    }

    /// What is in the memory when nobody writes there any more, and of an operation that was not completed `why_not`, by how
    /// its process ended if that was before its parent.
    pub(super) fn read(
        self,
        memory: &File,
        released_ns: u64,
        why_not: impl Fn(Option<ExitStatus>) -> String,
    ) -> io::Result<Reports> {
        let mut bytes = vec![0; self.detail(0) * WORD_LEN];
        memory.read_exact_at(&mut bytes, 0)?;
        let words = bytes.as_chunks().0.iter().copied();
        let words: Vec<u64> = words.map(u64::from_ne_bytes).collect();
        let known = |at: usize| words[at].checked_sub(1);
        let end = |client: usize| {
            let status = known(self.of_member(client.min(self.members - 1)));
            status.map(|status| ExitStatus::from_raw(status as i32))
        };
        let attempts = (0..self.clients * self.requests).map(|operation| {
            let (client, request) = (operation / self.requests, operation % self.requests);
            let slot = &words[self.slot(operation)..][..SLOT_LEN];
            let mut detail = vec![0; (slot[7] as usize).min(DETAIL_LEN * WORD_LEN)];
            memory.read_exact_at(&mut detail, (self.detail(operation) * WORD_LEN) as u64)?;
            let mut attempt = attempt(slot, &detail).unwrap_or_else(|| {
                Attempt::without_times(0, 0, Outcome::ClientCrashed, &why_not(end(client)))
            });
            let record = &mut attempt.record;
            (record.client, record.request) = (client as u32, request as u32);
            record.released_ns = released_ns;
            Ok(attempt)
        });
        let cpu_ns = (0..self.clients).map(|client| known(self.of_client(client)));
        let peaks = (0..self.members).filter_map(|member| known(self.of_member(member) + 1));
        Ok(Reports {
            attempts: attempts.collect::<io::Result<_>>()?,
            cpu_us: cpu_ns.sum::<Option<u64>>().map(|ns| ns / 1_000),
            peak_rss_bytes: peaks.max(),
        })
    }
}

/// What a slot and its detail say; none where the mark does not say that they are there.
fn attempt(slot: &[u64], detail: &[u8]) -> Option<Attempt> {
    let mark = slot[0].checked_sub(1)?;
    let time = |at: usize| Some(slot[at]).filter(|time| *time != 0);
    Some(Attempt {
        record: Record {
            started_ns: time(1),
            connected_ns: time(2),
            first_byte_ns: time(3),
            ended_ns: time(4),
            bytes: slot[5],
            verified_bytes: slot[6],
            outcome: *Outcome::ALL.get((mark % UNCONFIRMED) as usize)?,
            detail: (!detail.is_empty()).then(|| String::from_utf8_lossy(detail).into_owned()),
            ..Record::not_sent(0, 0)
        },
        is_unconfirmed: mark & UNCONFIRMED != 0,
    })
}

/// The memory as clients and their parent see it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Memory {
    words: &'static [AtomicU64],
    layout: Layout,
}

impl Memory {
    pub(super) fn map(file: &File, layout: Layout) -> io::Result<Self> {
        let words = sys::words_of(file, layout.len())?;
        Ok(Self { words, layout })
    }

    /// A client is there, and its part of the memory too, so that no page of it is missed in the window; true for the
    /// last one.
    pub(super) fn arrive(self, client: u32) -> bool {
        let first = client as usize * self.layout.requests;
        let slots = self.layout.slot(first)..self.layout.slot(first + self.layout.requests);
        self.words[slots]
            .iter()
            .for_each(|word| word.store(0, Ordering::Relaxed));
        self.count(0)
    }

    /// Whether all are there.
    pub(super) fn all_are_there(self) -> bool {
        self.words[0].load(Ordering::SeqCst) == self.layout.clients as u64
    }

    /// A client is done, and has used so much; true for the last one.
    pub(super) fn leave(self, client: u32, cpu_ns: u64) -> bool {
        self.set(self.layout.of_client(client as usize), cpu_ns);
        self.count(1)
    }

    fn count(self, at: usize) -> bool {
        self.words[at].fetch_add(1, Ordering::SeqCst) + 1 == self.layout.clients as u64
    }

    pub(super) fn set_end(self, member: usize, status: i32) {
        self.set(
            self.layout.of_member(member),
            u64::from(status.cast_unsigned()),
        );
    }

    pub(super) fn set_peak_rss(self, member: usize, bytes: u64) {
        self.set(self.layout.of_member(member) + 1, bytes);
    }

    fn set(self, at: usize, value: u64) {
        self.store(at, value + 1);
    }

    /// Keeps what an operation came to.
    pub(super) fn keep(self, attempt: &Attempt) {
        let record = &attempt.record;
        let operation = record.client as usize * self.layout.requests + record.request as usize;
        let detail = record.detail.as_deref().unwrap_or_default().as_bytes();
        for (at, piece) in (0..DETAIL_LEN).zip(detail.chunks(WORD_LEN)) {
            let mut bytes = [0; WORD_LEN];
            bytes[..piece.len()].copy_from_slice(piece);
            self.store(
                self.layout.detail(operation) + at,
                u64::from_ne_bytes(bytes),
            );
        }
        let time = Option::unwrap_or_default;
        let values = [
            time(record.started_ns),
            time(record.connected_ns),
            time(record.first_byte_ns),
            time(record.ended_ns),
            record.bytes,
            record.verified_bytes,
            detail.len() as u64,
        ];
        let slot = self.layout.slot(operation);
        for (at, value) in (1..SLOT_LEN).zip(values) {
            self.store(slot + at, value);
        }
        let unconfirmed = if attempt.is_unconfirmed {
            UNCONFIRMED
        } else {
            0
        };
        // Last: a client that is killed before this has left nothing, and never half of something.
        self.words[slot].store((record.outcome as u64 | unconfirmed) + 1, Ordering::Release);
    }

    fn store(self, at: usize, value: u64) {
        self.words[at].store(value, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use stress_data::matrix::Operation;

    use super::*;
    use crate::clients::operation::shortened;
    use crate::testing;

    fn job(client_pool: ClientPool) -> Job {
        let mut cell = testing::cell(Operation::Download, 1_000);
        (cell.clients, cell.client_pool) = (3, client_pool);
        let mut settings = testing::settings();
        settings.transfer_requests = 2;
        Job {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            cell,
            settings,
            download_crc32: None,
            is_shared: false,
        }
    }

    #[test]
    fn what_is_kept_is_read_back_as_it_was() {
        for client_pool in [ClientPool::Thread, ClientPool::Process] {
            let layout = Layout::of(&job(client_pool));
            let file = layout.memory().unwrap();
            let memory = Memory::map(&file, layout).unwrap();
            let all = (0..3).map(|client| memory.arrive(client));
            assert_eq!(all.collect::<Vec<_>>(), [false, false, true]);
            let mut kept = Vec::new();
            for (number, outcome) in (0..5).zip(Outcome::ALL.into_iter().cycle().skip(1)) {
                // As long as it may be, and shorter.
                let detail = shortened(&"é".repeat(DETAIL_LEN_MAX - 100 * number as usize));
                let mut attempt = Attempt::without_times(number / 2, number % 2, outcome, &detail);
                attempt.record.started_ns = Some(u64::MAX);
                attempt.record.first_byte_ns = Some(7);
                attempt.record.bytes = 1;
                attempt.is_unconfirmed = number == 0;
                memory.keep(&attempt);
                attempt.record.released_ns = 3;
                kept.push(attempt);
            }
            assert!(!memory.leave(0, 0) && !memory.leave(2, 5_000));
            let last = layout.members() - 1;
            memory.set_end(last, 9);
            memory.set_peak_rss(last, 4_096);
            let why_not = |status: Option<ExitStatus>| format!("{:?}", status.unwrap().signal());
            let left = layout.read(&file, 3, why_not).unwrap();
            assert_eq!(left.attempts[..5], kept);
            let lost = &left.attempts[5].record;
            assert_eq!((lost.client, lost.request, lost.released_ns), (2, 1, 3));
            assert_eq!(lost.outcome, Outcome::ClientCrashed);
            assert_eq!(lost.detail.as_deref(), Some("Some(9)"));
            assert_eq!((left.cpu_us, left.peak_rss_bytes), (None, Some(4_096)));
            assert!(memory.leave(1, 2_000));
            assert_eq!(layout.read(&file, 3, why_not).unwrap().cpu_us, Some(7));
        }
    }

    #[test]
    fn an_operation_that_went_well_is_kept_too() {
        let layout = Layout::of(&job(ClientPool::Thread));
        let file = layout.memory().unwrap();
        let mut attempt = Attempt::without_times(2, 1, Outcome::Ok, "");
        attempt.record.detail = None;
        Memory::map(&file, layout).unwrap().keep(&attempt);
        let left = layout
            .read(&file, 0, |status| format!("{status:?}"))
            .unwrap();
        assert_eq!(left.attempts[5], attempt);
        let lost = |it: &Attempt| it.record.detail.as_deref() == Some("None");
        assert!(left.attempts[..5].iter().all(lost));
        assert_eq!((left.cpu_us, left.peak_rss_bytes), (None, None));
    }
}
