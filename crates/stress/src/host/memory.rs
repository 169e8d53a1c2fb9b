//! Memory: what our server's processes use during a window, and taking memory from the host before one.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use stress_data::measurement::{ServerMemory, Warmed};

use super::environment;

/// Between two looks. One costs about 0.1 ms a process.
const PAUSE: Duration = Duration::from_millis(100);
/// How much more memory is free than there was before, while it is given back: what the fastest uploads use in 30 ms,
/// and the slowest before it is reported.
const HEADROOM: u64 = 96 << 20;
/// Between two looks at how much is free.
const FEED_PAUSE: Duration = Duration::from_millis(5);
/// What is left free when memory is taken from the host.
const KEPT_FREE: u64 = 512 << 20;
/// Taken in one piece.
const PIECE_LEN: usize = 32 << 20;
/// The smallest page there is: touching one byte in each takes all of them.
const PAGE_LEN: usize = 4 << 10;

/// Lets `work` be done while the memory of the server, whose parent process is `parent`, is watched.
pub(crate) fn watch<T>(parent: Option<u32>, work: impl FnOnce() -> T) -> (T, Option<ServerMemory>) {
    let Some((parent, idle_bytes)) =
        parent.and_then(|parent| Some((parent, server_bytes(parent)?)))
    else {
        return (work(), None);
    };
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut peak_bytes = idle_bytes;
            loop {
                // The last look comes after the end, however short the work was.
                let is_last = is_over.load(Ordering::Relaxed);
                peak_bytes = peak_bytes.max(server_bytes(parent).unwrap_or(0));
                if is_last {
                    return peak_bytes;
                }
                thread::park_timeout(PAUSE);
            }
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        let peak_bytes = watcher.join().unwrap_or(idle_bytes);
        let memory = ServerMemory {
            idle_bytes,
            peak_bytes,
        };
        (done, Some(memory))
    })
}

/// Memory that was taken from the host, to be given back to this machine's kernel as its work needs it.
///
/// The kernel of a virtual machine may give memory that nobody uses back to its host, two seconds after it was freed
/// (free page reporting). Whoever needs it next pays for getting it again, page by page: 1.2 to 1.5 s of CPU time a
/// gigabyte here, so that the first large upload after a pause shows the host and not the server. Freed all at once
/// before the window, what was taken is gone again before a window of more than two seconds has used it; so it is
/// freed piece by piece.
///
/// What it is worth: 50 clients with 100 MiB each to one worker, on the two slow cores of one such machine, gave 356 to 454
/// MB/s six seconds after the last run (five runs), 453 to 544 warmed so (four runs), and 481 to 572 where another sample
/// had just ended (three).
#[derive(Debug)]
pub(crate) struct HostMemory {
    pieces: Vec<Vec<u8>>,
    took: Duration,
}

impl HostMemory {
    /// Takes `bytes`, as far as they are free here; none if that is next to nothing.
    pub(crate) fn take(bytes: u64) -> Option<Self> {
        let free = environment::memory_free()?.saturating_sub(KEPT_FREE);
        let pieces_len = usize::try_from(bytes.min(free) / PIECE_LEN as u64).ok()?;
        if pieces_len == 0 {
            return None;
        }
        let started = Instant::now();
        let mut pieces = Vec::with_capacity(pieces_len);
        for _ in 0..pieces_len {
            // Fresh from the kernel, and not there until it is touched.
            let mut piece = vec![0_u8; PIECE_LEN];
            for page in piece.chunks_mut(PAGE_LEN) {
                page[0] = 1;
            }
            pieces.push(std::hint::black_box(piece));
        }
        let took = started.elapsed();
        Some(Self { pieces, took })
    }

    /// What was taken.
    pub(crate) fn warmed(&self) -> Warmed {
        Warmed {
            bytes: (self.pieces.len() * PIECE_LEN) as u64,
            took_ns: u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// Frees it while `work` goes on, as fast as memory is used.
    fn give_back(mut self, is_over: &AtomicBool) {
        let mut cold = environment::memory_free().unwrap_or(0);
        while !is_over.load(Ordering::Relaxed) && !self.pieces.is_empty() {
            let free = environment::memory_free().unwrap_or(0);
            // Freed by others: by reporting it will have been given to the host when it is needed.
            cold = cold.min(free);
            if free < cold.saturating_add(HEADROOM) {
                self.pieces.pop();
            } else {
                thread::park_timeout(FEED_PAUSE);
            }
        }
    }
}

/// Lets `work` be done while `ballast`, if there is one, is given back.
pub(crate) fn feed<T>(taken: Option<HostMemory>, work: impl FnOnce() -> T) -> T {
    let Some(taken) = taken else {
        return work();
    };
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        let feeder = scope.spawn(move || taken.give_back(is_over));
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        feeder.thread().unpark();
        done
    })
}

/// The memory of `parent` and of its children; none if the parent's cannot be seen.
fn server_bytes(parent: u32) -> Option<u64> {
    let own = pss_bytes(parent)?;
    let children = environment::children(parent).into_iter();
    // A child that is just ending has none.
    Some(own + children.filter_map(pss_bytes).sum::<u64>())
}

fn pss_bytes(pid: u32) -> Option<u64> {
    parse_pss(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

fn parse_pss(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn proportional_memory_is_read_from_its_line() {
        let text = "55 [rollup]\nRss:  9 kB\nPss:                  20 kB\nPss_Dirty: 3 kB\n";
        assert_eq!(parse_pss(text), Some(20_480));
        assert_eq!(parse_pss("Pss_Dirty: 3 kB\n"), None);
        assert_eq!(parse_pss(""), None);
    }

    #[test]
    fn memory_that_is_used_while_one_watches_shows() {
        // Its own process: in this one other tests use memory too.
        let mut shell = Command::new("sh")
            .args([
                "-c",
                "read go; used=$(head -c 20000000 /dev/zero | tr '\\0' a); echo; read go",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = shell.stdin.take().unwrap();
        let mut output = BufReader::new(shell.stdout.take().unwrap());
        let (_, memory) = watch(Some(shell.id()), || {
            writeln!(input).unwrap();
            output.read_line(&mut String::new()).unwrap();
        });
        drop(input);
        shell.wait().unwrap();
        let memory = memory.unwrap();
        assert!(
            memory.peak_bytes >= memory.idle_bytes + 20_000_000,
            "{memory:?}"
        );
        assert_eq!(watch(None, || 7), (7, None));
    }

    #[test]
    fn memory_is_taken_in_whole_pieces_and_all_given_back() {
        assert!(HostMemory::take(PIECE_LEN as u64 - 1).is_none());
        if environment::memory_free().unwrap() > KEPT_FREE + 3 * PIECE_LEN as u64 {
            let taken = HostMemory::take(2 * PIECE_LEN as u64 + 5).unwrap();
            assert_eq!(taken.warmed().bytes, 2 * PIECE_LEN as u64);
            assert_eq!(feed(Some(taken), || 7), 7);
        }
        assert_eq!(feed(None, || 7), 7);
    }
}
