//! The files of a cell in the folder of a running server, put there and taken away through the server itself,
//! outside the measured window.

use client::{Connection, Error, FileName};

use crate::corpus::files::list_len;
use crate::corpus::{Corpus, Salt, download_name, list_names, upload_name};
use crate::matrix::{LIST_FILE_BYTES, Operation};
use crate::operation::{Job, options};

/// Puts there what the cell needs, and returns the CRC-32 of what its clients download.
///
/// # Errors
/// What the server, or the way to it, did not do.
pub(crate) fn lay_out(job: &Job) -> Result<Option<u32>, String> {
    let corpus = Corpus::new(job.seed);
    let put = |name: &FileName, salt, len| {
        let mut content = corpus.content(salt, len);
        let sent = connect(job)?.upload(name, &mut content, &mut ());
        sent.map_err(|error| format!("{name} cannot be put into the target's folder: {error}"))
    };
    match job.operation {
        Operation::Upload => Ok(None),
        Operation::Download => {
            let sent = put(&download_name(0), Salt::DOWNLOAD, job.volume)?;
            Ok(Some(sent.crc32))
        }
        Operation::List => {
            let listing = connect(job)?
                .list(&mut ())
                .map_err(|error| error.to_string())?;
            if !listing.names.is_empty() {
                return Err(format!(
                    "the target's folder holds {} already: a list cell needs it empty, or leave list out with --op download,upload",
                    crate::size::counted(listing.names.len() as u64, "file")
                ));
            }
            let mut left = job.volume;
            for name in names(job) {
                let len = left.min(LIST_FILE_BYTES);
                put(&name, Salt::DOWNLOAD, len)?;
                left -= len;
            }
            Ok(None)
        }
    }
}

/// Takes away what the cell left there; says what could not be.
pub(crate) fn clear_away(job: &Job, clients: u32) -> Option<String> {
    let names: Vec<FileName> = match job.operation {
        Operation::Download => vec![download_name(0)],
        Operation::List => names(job),
        Operation::Upload => (0..clients)
            .flat_map(|client| (0..job.requests).map(move |request| upload_name(client, request)))
            .collect(),
    };
    let delete = |name: &FileName| match connect(job)?.delete(name) {
        // What is not there need not go.
        Ok(_) => Ok(()),
        Err(Error::Refused { code, .. }) if code.as_deref() == Some("not_found") => Ok(()),
        Err(error) => Err(format!("{name} stays in the target's folder: {error}")),
    };
    names.iter().find_map(|name| delete(name).err())
}

fn names(job: &Job) -> Vec<FileName> {
    let names = list_names(list_len(job.volume));
    let name = |text: &String| text.parse().expect("letters, digits and a dot make a name");
    names.iter().map(name).collect()
}

/// One connection for each file: some servers end theirs after a reply.
fn connect(job: &Job) -> Result<Connection, String> {
    Connection::connect(job.address, &options(job)?).map_err(|error| error.to_string())
}
