//! Reading back what was uploaded, outside the measured window: where no answer vouches for it, where it is
//! asked for, and where it is unknown whether it was stored.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::Error as Failure;
use stress_data::matrix::Operation;
use stress_data::measurement::Verify;
use stress_data::reconcile::is_undecided;
use stress_data::record::Outcome;

use super::operation::{Attempt, Job};
use super::requester::{Error, Requester, with_requester};
use crate::corpus::{Comparison, Content, Corpus, Salt, upload_name};

/// How long a server is waited for that has already failed to answer the upload in question: what it has stored is
/// worth a word to the reader, and no figure depends on it.
const DECIDE_LIMIT: Duration = Duration::from_secs(10);

/// Where a stored content is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The served folder.
    Folder,
    /// The served folder, or by GET where the server stored it elsewhere or under a name of its own.
    FolderOrServer,
}

/// Reads uploads back.
#[derive(Debug)]
pub(crate) struct ReadBack<'a> {
    job: &'a Job,
    root: &'a Path,
    interrupt: &'a AtomicBool,
    corpus: Corpus,
    partial: Vec<String>,
}

/// What was found under the name of an upload.
enum Found {
    Whole,
    Nothing,
    SomethingElse,
    Trouble(String),
}

impl<'a> ReadBack<'a> {
    pub(crate) fn new(job: &'a Job, root: &'a Path, interrupt: &'a AtomicBool) -> Self {
        Self {
            job,
            root,
            interrupt,
            corpus: Corpus::new(job.settings.seed),
            partial: Vec::new(),
        }
    }

    /// Reads back what needs it, and puts into the records what that shows. Ends early on an interrupt; a server that
    /// does not answer is asked once.
    pub(crate) fn check(&mut self, attempts: &mut [Attempt], source: Source) {
        let is_wanted = self.job.cell.operation == Operation::Upload
            && matches!(self.job.settings.verify, Verify::Checksum | Verify::Full);
        if !is_wanted {
            return;
        }
        match source {
            Source::Folder => self.check_all(attempts, None),
            Source::FolderOrServer => with_requester(self.job, self.interrupt, |requester| {
                self.check_all(attempts, Some(requester));
            }),
        }
    }

    fn check_all(&mut self, attempts: &mut [Attempt], mut requester: Option<&mut Requester<'_>>) {
        for attempt in attempts {
            if self.interrupt.load(Ordering::Relaxed) {
                return;
            }
            let requester = requester.as_deref_mut();
            match attempt.record.outcome {
                Outcome::Ok
                    if attempt.is_unconfirmed || self.job.settings.verify == Verify::Full =>
                {
                    self.confirm(attempt, requester);
                }
                outcome if is_undecided(outcome) => self.decide(attempt, requester),
                _ => {}
            }
        }
    }

    /// Uploads that nobody said were stored, and of which a part can be seen all the same.
    pub(crate) fn partial(&self) -> &[String] {
        &self.partial
    }

    fn confirm(&self, attempt: &mut Attempt, requester: Option<&mut Requester<'_>>) {
        let trouble = match self.find(attempt, requester, self.job.settings.timeout) {
            Found::Whole => {
                attempt.is_unconfirmed = false;
                return;
            }
            Found::Nothing => "the server said OK, but has not stored it".to_owned(),
            Found::SomethingElse => "what is stored is not what was sent".to_owned(),
            Found::Trouble(trouble) => format!("what is stored cannot be read: {trouble}"),
        };
        let record = &mut attempt.record;
        record.outcome = Outcome::Mismatch;
        record.verified_bytes = 0;
        record.detail = Some(trouble);
    }

    fn decide(&mut self, attempt: &mut Attempt, requester: Option<&mut Requester<'_>>) {
        let found = match self.find(attempt, requester, DECIDE_LIMIT) {
            Found::Whole => "it is stored, whole".to_owned(),
            Found::Nothing => "it is not stored".to_owned(),
            Found::SomethingElse => {
                let record = &attempt.record;
                let name = upload_name(record.client, record.request);
                self.partial
                    .push(format!("{name} is stored, but not as it was sent"));
                "it is stored, but not as it was sent".to_owned()
            }
            Found::Trouble(trouble) => format!("what is stored cannot be read: {trouble}"),
        };
        let detail = attempt.record.detail.get_or_insert_default();
        detail.push_str("; ");
        detail.push_str(&found);
    }

    fn find(
        &self,
        attempt: &Attempt,
        requester: Option<&mut Requester<'_>>,
        limit: Duration,
    ) -> Found {
        let record = &attempt.record;
        let name = upload_name(record.client, record.request);
        let content = || {
            let salt = Salt::upload(record.client, record.request);
            self.corpus.content(salt, self.job.cell.volume)
        };
        let in_folder = compare_file(&self.root.join(name.as_str()), content());
        let (Found::Nothing, Some(requester)) = (&in_folder, requester) else {
            return in_folder;
        };
        let mut comparison = Comparison::with(content());
        match requester.ask(limit, |it| it.get(&name, &mut comparison, &mut ())) {
            Ok(_) if comparison.is_equal() => Found::Whole,
            Ok(_) => Found::SomethingElse,
            Err(Error::Failed(Failure::Refused { .. })) => Found::Nothing,
            Err(error) => Found::Trouble(error.to_string()),
        }
    }
}

fn compare_file(path: &Path, content: Content) -> Found {
    let mut comparison = Comparison::with(content);
    let copied = File::open(path).and_then(|mut file| io::copy(&mut file, &mut comparison));
    match copied {
        Ok(_) if comparison.is_equal() => Found::Whole,
        Ok(_) => Found::SomethingElse,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
        Err(error) => Found::Trouble(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::net::{Ipv4Addr, SocketAddr};
    use std::time::Duration;

    use stress_data::measurement::Settings;

    use super::*;
    use crate::testing;

    const VOLUME: u64 = 100_000;

    fn job(verify: Verify) -> Job {
        Job {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
            cell: testing::cell(Operation::Upload, VOLUME),
            settings: Settings {
                verify,
                timeout: Duration::from_secs(5),
                ..testing::settings()
            },
            download_crc32: None,
            is_shared: false,
        }
    }

    fn attempt(outcome: Outcome, is_unconfirmed: bool) -> Attempt {
        let mut attempt = Attempt::without_times(0, 0, outcome, "as told");
        if outcome == Outcome::Ok {
            attempt.record.bytes = VOLUME;
            attempt.record.verified_bytes = VOLUME;
            attempt.record.detail = None;
        }
        attempt.is_unconfirmed = is_unconfirmed;
        attempt
    }

    /// What becomes of `attempt` when the first `stored_len` bytes of its content are stored.
    fn read_back(verify: Verify, attempt: &Attempt, stored_len: Option<u64>) -> (Attempt, usize) {
        let root = tempfile::tempdir().unwrap();
        if let Some(len) = stored_len {
            let mut content = Vec::new();
            let whole = Corpus::new(1).content(Salt::upload(0, 0), VOLUME);
            whole.take(len).read_to_end(&mut content).unwrap();
            fs::write(root.path().join("u0000-0.bin"), content).unwrap();
        }
        let (job, interrupt) = (job(verify), AtomicBool::new(false));
        let mut reader = ReadBack::new(&job, root.path(), &interrupt);
        let mut attempts = [attempt.clone()];
        reader.check(&mut attempts, Source::Folder);
        let partial_len = reader.partial().len();
        let [attempt] = attempts;
        (attempt, partial_len)
    }

    #[test]
    fn an_unconfirmed_upload_counts_only_if_it_is_stored_whole() {
        let unconfirmed = attempt(Outcome::Ok, true);
        let check = |stored_len, outcome, verified_bytes| {
            let (attempt, partial_len) = read_back(Verify::Checksum, &unconfirmed, stored_len);
            assert_eq!(attempt.record.outcome, outcome, "{stored_len:?}");
            assert_eq!(attempt.record.verified_bytes, verified_bytes);
            assert_eq!(partial_len, 0);
        };
        check(Some(VOLUME), Outcome::Ok, VOLUME);
        check(Some(VOLUME - 1), Outcome::Mismatch, 0);
        check(None, Outcome::Mismatch, 0);
    }

    #[test]
    fn a_server_that_does_not_answer_is_asked_once() {
        let (address, heard) = testing::scripted(|_| None);
        let root = tempfile::tempdir().unwrap();
        let interrupt = AtomicBool::new(false);
        let mut job = job(Verify::Checksum);
        (job.address, job.settings.timeout) = (address, Duration::from_millis(100));
        let mut attempts = [attempt(Outcome::Ok, true), attempt(Outcome::Timeout, false)];
        ReadBack::new(&job, root.path(), &interrupt).check(&mut attempts, Source::FolderOrServer);
        assert_eq!(heard.try_iter().count(), 1);
        let [unconfirmed, undecided] = attempts.map(|attempt| attempt.record);
        assert_eq!(unconfirmed.outcome, Outcome::Mismatch);
        assert_eq!(undecided.outcome, Outcome::Timeout);
        let detail = undecided.detail.unwrap();
        assert!(detail.contains("cannot be read: not asked"), "{detail}");
    }

    #[test]
    fn an_interrupt_is_heard_while_a_server_does_not_answer() {
        let long = Duration::from_mins(5);
        let (address, heard) = testing::scripted(|_| None);
        let root = tempfile::tempdir().unwrap();
        let interrupt = AtomicBool::new(false);
        let mut job = job(Verify::Checksum);
        (job.address, job.settings.timeout) = (address, long);
        let started = std::time::Instant::now();
        std::thread::scope(|scope| {
            let interrupt = &interrupt;
            scope.spawn(move || {
                heard.recv_timeout(long).unwrap();
                interrupt.store(true, Ordering::Relaxed);
            });
            let mut attempts = [attempt(Outcome::Ok, true), attempt(Outcome::Ok, true)];
            let mut reader = ReadBack::new(&job, root.path(), interrupt);
            reader.check(&mut attempts, Source::FolderOrServer);
        });
        assert!(started.elapsed() < long / 2);
    }

    #[test]
    fn a_confirmed_upload_is_read_back_only_on_demand() {
        let confirmed = attempt(Outcome::Ok, false);
        let outcome = |verify| read_back(verify, &confirmed, None).0.record.outcome;
        assert_eq!(outcome(Verify::Checksum), Outcome::Ok);
        assert_eq!(outcome(Verify::Full), Outcome::Mismatch);
        let unconfirmed = attempt(Outcome::Ok, true);
        assert_eq!(read_back(Verify::Size, &unconfirmed, None).0, unconfirmed);
    }

    #[test]
    fn what_became_of_an_undecided_upload_is_said_and_a_part_of_it_is_found() {
        let reset = attempt(Outcome::Reset, false);
        let check = |stored_len, words: &str, partial_len| {
            let (attempt, found_len) = read_back(Verify::Checksum, &reset, stored_len);
            let detail = attempt.record.detail.unwrap();
            assert_eq!(detail, format!("as told; {words}"));
            assert_eq!(attempt.record.outcome, Outcome::Reset);
            assert_eq!(attempt.record.verified_bytes, 0);
            assert_eq!(found_len, partial_len);
        };
        check(None, "it is not stored", 0);
        check(Some(VOLUME), "it is stored, whole", 0);
        check(Some(10), "it is stored, but not as it was sent", 1);
    }
}
