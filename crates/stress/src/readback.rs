//! Reading back what was uploaded, from the served folder, outside the measured window.

use std::fs::File;
use std::path::Path;

use crate::corpus;
use crate::operation::Job;
use crate::record::{Outcome, Record};

/// Compares the stored file with what was sent; the record says what came of it.
pub(crate) fn check(job: &Job, root: &Path, record: &mut Record) {
    let path = root.join(corpus::upload_name(record.client, record.request));
    let salt = corpus::upload_salt(record.client, record.request);
    let stored = File::open(path).and_then(|mut file| corpus::crc32_of(&mut file));
    let problem = match stored {
        Ok((len, _)) if len != job.volume => Some(format!("{len} bytes are stored, {} were sent", job.volume)),
        Ok((_, crc32)) if crc32 != corpus::crc32(job.seed, salt, job.volume) => {
            Some("what is stored is not what was sent".to_owned())
        }
        Ok(_) => None,
        Err(error) => Some(format!("the stored file cannot be read back: {error}")),
    };
    match problem {
        None => {
            record.verified_bytes = record.bytes;
            record.detail = None;
        }
        Some(problem) => {
            record.outcome = Outcome::Mismatch;
            record.verified_bytes = 0;
            record.detail = Some(problem);
        }
    }
}
