use std::net::SocketAddr;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use stress_data::matrix::Cell;
use stress_data::measurement::Settings;

use super::*;
use crate::testing::{self, scripted};

/// Far more than anything here takes that does not hang.
const LONG: Duration = Duration::from_mins(5);

fn job(operation: Operation, address: SocketAddr, timeout: Duration) -> Job {
    Job {
        address,
        cell: Cell {
            clients: 5,
            ..testing::cell(operation, 1_000)
        },
        settings: Settings {
            list_requests: 1,
            timeout,
            ..testing::settings()
        },
        download_crc32: None,
        is_shared: true,
    }
}

/// A server with files of these names, which deletes none that `refuses`.
fn server(files: &[&str], refuses: fn(&str) -> bool) -> (SocketAddr, Receiver<String>) {
    let listing = format!("{{\"status\":\"OK\",\"data\":{files:?}}}");
    scripted(move |line| {
        Some(match line.split_once(' ') {
            None => listing.clone(),
            Some(("DELETE", name)) if refuses(name) => {
                r#"{"status":"ERROR","data":"no"}"#.to_owned()
            }
            Some(_) => r#"{"status":"OK","data":"done"}"#.to_owned(),
        })
    })
}

fn clear(address: SocketAddr, timeout: Duration) -> Option<String> {
    let job = job(Operation::Upload, address, timeout);
    let laid = Placed {
        names: names(&job),
        crc32: None,
    };
    clear_away(&job, &laid, &AtomicBool::new(false))
}

#[test]
fn every_file_is_deleted_whatever_becomes_of_the_others() {
    // Two cannot be deleted, of which one is not there either: nothing else tells the two apart.
    let refuses = |name: &str| name == "u0001-0.bin" || name == "u0003-0.bin";
    let (address, heard) = server(&["u0003-0.bin", "thesis.pdf"], refuses);
    assert_eq!(
        clear(address, LONG).as_deref(),
        Some("1 file stays in the target's folder (u0003-0.bin): no")
    );
    let asked: Vec<String> = heard.try_iter().collect();
    let mut want: Vec<String> = (0..5).map(|it| format!("DELETE u000{it}-0.bin")).collect();
    want.push("LIST".into());
    assert_eq!(asked, want);
    let (address, _heard) = server(&["thesis.pdf"], |_| false);
    assert_eq!(clear(address, LONG), None);
}

#[test]
fn a_server_that_does_not_answer_is_not_asked_to_delete_everything() {
    let (address, heard) = scripted(|_| None);
    let note = clear(address, Duration::from_millis(100)).unwrap();
    let five = "5 files stay in the target's folder (u0000-0.bin, u0001-0.bin, ";
    assert!(note.starts_with(five), "{note}");
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["DELETE u0000-0.bin"]);
}

#[test]
fn what_was_in_the_folder_before_is_neither_replaced_nor_deleted() {
    let slow = Fault::SlowClient {
        bytes_per_s: 1,
        clients: 2,
    };
    let stalled = Fault::StallClient { clients: 1 };
    for (operation, fault, file) in [
        (Operation::Download, Fault::None, "d0000.bin"),
        (Operation::Upload, Fault::None, "u0004-0.bin"),
        (Operation::Upload, slow, "slow0001.bin"),
        (Operation::Download, stalled, "stalled.bin"),
        (Operation::List, Fault::None, "thesis.pdf"),
    ] {
        let (address, heard) = server(&["a.bin", file], |_| false);
        let mut job = job(operation, address, LONG);
        job.cell.fault = fault;
        let refused = lay_out(&job, &AtomicBool::new(false)).err().unwrap();
        assert!(refused.laid.is_none(), "nothing is to be cleared away");
        let words = match operation {
            Operation::List => "holds 2 files already",
            _ => file,
        };
        assert!(refused.why.contains(words), "{}", refused.why);
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), ["LIST"]);
    }
    // Other files are in nobody's way.
    let (address, _heard) = server(&["a.bin", "u0005-0.bin"], |_| false);
    let job = job(Operation::Upload, address, LONG);
    assert!(lay_out(&job, &AtomicBool::new(false)).is_ok());
}

#[test]
fn an_interrupt_ends_the_wait_for_a_server_that_does_not_answer() {
    let (address, heard) = scripted(|_| None);
    let interrupt = AtomicBool::new(false);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let interrupt = &interrupt;
        scope.spawn(move || {
            heard.recv_timeout(LONG).unwrap();
            interrupt.store(true, Ordering::SeqCst);
        });
        let job = job(Operation::Upload, address, LONG);
        let refused = lay_out(&job, interrupt).err().unwrap();
        assert!(refused.why.ends_with("interrupted"), "{}", refused.why);
    });
    assert!(started.elapsed() < LONG / 2);
}
