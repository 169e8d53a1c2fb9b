//! What the harness tells its client processes, and what they tell it.

use std::io::{self, Write};

use nix::libc::PIPE_BUF;
use serde::{Deserialize, Serialize};

use crate::clients::operation::{Attempt, Job};

/// What all client processes of a row are to do.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// The harness. Clients that have another parent are too late: the harness is gone.
    pub(super) parent: i32,
    pub(super) job: Job,
}

/// One line of what they say. All of them, and their parent, write to one pipe.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// A client stands at the barrier.
    Ready { client: u32 },
    /// One operation. All of a client's come at its end: the window is for the operations alone.
    Attempt(Attempt),
    /// A client's last line.
    End {
        client: u32,
        /// CPU time from the barrier on.
        cpu_us: Option<u64>,
        peak_rss_bytes: Option<u64>,
    },
    /// From their parent: a client process has ended, and how.
    Gone { client: u32, how: String },
}

/// Writes `reports` in as few writes as keep each of them whole: up to PIPE_BUF bytes a pipe takes a write
/// whole or not at all (pipe(7)), so that lines of several processes never mix, and one that is killed leaves
/// none cut short. Every line is far shorter, for a [`Record`](stress_data::record::Record)'s detail is.
pub(super) fn say(out: &mut impl Write, reports: &[Report]) -> io::Result<()> {
    let mut text = Vec::with_capacity(PIPE_BUF);
    for report in reports {
        let mut line = serde_json::to_vec(report)?;
        line.push(b'\n');
        if text.len() + line.len() > PIPE_BUF {
            out.write_all(&text)?;
            text.clear();
        }
        text.append(&mut line);
    }
    out.write_all(&text)
}

#[cfg(test)]
mod tests {
    use stress_data::record::Outcome;

    use super::*;
    use crate::clients::operation::{DETAIL_LEN_MAX, shortened};

    /// Takes down each write by itself.
    #[derive(Default)]
    struct Writes(Vec<Vec<u8>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_write_is_whole_lines_that_a_pipe_takes_at_once() {
        // What JSON makes the most of: six bytes for one.
        let worst = shortened(&"\u{1}".repeat(10 * DETAIL_LEN_MAX));
        let attempt = |request| {
            Report::Attempt(Attempt::without_times(
                u32::MAX,
                request,
                Outcome::ConnectTimeout,
                &worst,
            ))
        };
        let reports: Vec<Report> = (0..100).map(attempt).collect();
        let mut writes = Writes::default();
        say(&mut writes, &reports).unwrap();
        for write in &writes.0 {
            assert!(write.len() <= PIPE_BUF, "{}", write.len());
            assert_eq!(write.last(), Some(&b'\n'));
        }
        let all = writes.0.concat();
        let lines = all.split_inclusive(|byte| *byte == b'\n');
        let read: Vec<Report> = lines
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(read, reports);
    }
}
