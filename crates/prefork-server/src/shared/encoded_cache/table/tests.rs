use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::thread;

use proptest::prelude::*;

use super::*;

const READERS: u32 = 4;
const FILES: u64 = 24;
const PIECES_MAX: u64 = 5;

/// Room for the three largest files.
const BYTES_MAX: u64 = 3 * PIECES_MAX * PIECE_TEXT_LEN as u64;

fn table() -> Table {
    let table = Table::new(BYTES_MAX, READERS).unwrap();
    table.use_readers(READERS);
    table
}

/// A file of one piece to five.
fn key(file: u64) -> FileKey {
    let len = (file % PIECES_MAX + 1) * PIECE_LEN as u64 - file % 3;
    FileKey([1, file, len, 3, 4, 5, 6])
}

fn pieces(file: u64) -> usize {
    pieces_of(proto::base64::encoded_len(key(file).len()))
}

/// What the CRC-32 of a piece is: any number that is another for each.
fn crc32(file: u64, piece: usize) -> u32 {
    (file * 100 + piece as u64 + 1) as u32
}

/// Memory as the kernel has it: what was written to a slot's pieces, 0 for nothing.
struct Memory(Vec<AtomicU64>);

impl Memory {
    fn new() -> Self {
        Self((0..SLOTS * 8).map(|_| AtomicU64::new(0)).collect())
    }

    fn piece(&self, slot: usize, piece: usize) -> &AtomicU64 {
        &self.0[slot * 8 + piece]
    }

    fn empty(&self, slot: usize) -> bool {
        (0..8).for_each(|piece| self.piece(slot, piece).store(0, SeqCst));
        true
    }
}

#[derive(Debug, Clone)]
enum Step {
    /// A reader asks for a file, and puts it into a slot if it is in none.
    LookUp(u32, u64),
    /// It holds the slot of the file it has asked for.
    Hold(u32),
    /// It reads a piece, or takes the lease if it is missing.
    Piece(u32, usize),
    /// It writes the piece it has the lease of.
    Publish(u32),
    /// It holds nothing any more.
    Drop(u32),
    /// It is killed where it is, and reaped.
    Kill(u32),
    /// Time goes by.
    Later(u64),
    /// The parent gives back the memory of what was put out, or of all.
    GiveBack(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let reader = 0..READERS;
    prop_oneof![
        4 => (reader.clone(), 0..FILES).prop_map(|(reader, file)| Step::LookUp(reader, file)),
        4 => reader.clone().prop_map(Step::Hold),
        4 => (reader.clone(), 0..PIECES_MAX as usize).prop_map(|(reader, piece)| Step::Piece(reader, piece)),
        3 => reader.clone().prop_map(Step::Publish),
        3 => reader.clone().prop_map(Step::Drop),
        1 => reader.prop_map(Step::Kill),
        1 => (0..2 * KEPT_MS).prop_map(Step::Later),
        3 => any::<bool>().prop_map(Step::GiveBack),
    ]
}

/// What a reader has in hand.
#[derive(Default)]
struct Reader<'t> {
    entry: Option<(u64, Entry)>,
    lease: Option<(usize, Lease<'t>)>,
    held: Option<Held<'t>>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_held_stays_and_what_is_there_is_the_files_own(steps in prop::collection::vec(step(), 1..120)) {
        let (table, memory) = (table(), Memory::new());
        let mut readers: Vec<Reader<'_>> = (0..READERS).map(|_| Reader::default()).collect();
        let mut now_ms = KEPT_MS;
        for step in steps {
            let named: Vec<usize> =
                readers.iter().filter(|it| it.held.is_some()).filter_map(|it| Some(it.entry?.1.slot)).collect();
            let empty = |slot: usize| {
                assert!(!named.contains(&slot), "slot {slot} is emptied under a reader");
                memory.empty(slot)
            };
            match step {
                Step::LookUp(reader, file) => {
                    let at = &mut readers[reader as usize];
                    if at.held.is_none() {
                        let found = table.find(&key(file)).or_else(|| table.admit(&key(file), reader, now_ms, now_ms));
                        at.entry = found.map(|entry| (file, entry));
                    }
                }
                Step::Hold(reader) => {
                    let at = &mut readers[reader as usize];
                    if let (Some((_, entry)), None) = (&at.entry, &at.held) {
                        at.held = table.hold(entry, reader);
                    }
                }
                Step::Piece(reader, piece) => {
                    let at = &mut readers[reader as usize];
                    let (Some((file, entry)), Some(held)) = (&at.entry, &at.held) else { continue };
                    if piece >= pieces(*file) || at.lease.is_some() {
                        continue;
                    }
                    match held.crc32_of(piece) {
                        Some(found) => {
                            prop_assert_eq!(found, crc32(*file, piece));
                            let there = memory.piece(entry.slot, piece).load(SeqCst);
                            prop_assert_eq!(there, u64::from(found));
                        }
                        None => at.lease = held.lease(piece).map(|lease| (piece, lease)),
                    }
                }
                Step::Publish(reader) => {
                    let at = &mut readers[reader as usize];
                    if let (Some((file, entry)), Some((piece, lease))) = (at.entry, at.lease.take()) {
                        let word = memory.piece(entry.slot, piece);
                        prop_assert_eq!(word.swap(u64::from(crc32(file, piece)), SeqCst), 0);
                        lease.publish(crc32(file, piece));
                    }
                }
                Step::Drop(reader) => readers[reader as usize] = Reader::default(),
                Step::Kill(reader) => {
                    let Reader { lease, held, .. } = std::mem::take(&mut readers[reader as usize]);
                    // Nothing of it is dropped.
                    std::mem::forget((lease, held));
                    table.clear_dead(reader..reader + 1);
                }
                Step::Later(ms) => now_ms += ms,
                Step::GiveBack(of_all) => {
                    let is_done = table.give_back(of_all, empty);
                    let is_left = |slot: &usize| table.bytes_of(*slot) > 0 && (of_all || !table.is_live(*slot));
                    prop_assert_eq!(is_done, !(0..SLOTS).any(|slot| is_left(&slot)));
                }
            }
            prop_assert!(table.bytes() <= BYTES_MAX);
            let mut leases = HashMap::new();
            for at in &readers {
                if let (Some((_, entry)), Some((piece, _))) = (&at.entry, &at.lease) {
                    let twice = leases.insert((entry.slot, *piece), ());
                    prop_assert!(twice.is_none(), "two have the lease of one piece");
                }
            }
        }
        // When all are gone everything is free.
        std::mem::forget(readers);
        table.clear_dead(0..READERS);
        prop_assert!(table.give_back(true, |slot| memory.empty(slot)));
        prop_assert_eq!(table.bytes(), 0);
    }
}

/// Readers at once, over and over: they fill, read and put files out for others, and die wherever they are.
#[test]
fn readers_that_race_and_die_never_see_anothers_bytes() {
    let (table, memory) = (table(), Memory::new());
    let is_wrong = AtomicBool::new(false);
    let living = AtomicU64::new(u64::from(READERS));
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (table, memory, is_wrong, living) = (&table, &memory, &is_wrong, &living);
            scope.spawn(move || {
                let mut random = u64::from(reader) + 1;
                for now_ms in 0..20_000 {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    // Time goes fast: everything may be put out for anything.
                    let now_ms = now_ms * KEPT_MS;
                    let round = || go_round(table, memory, reader, random, now_ms);
                    match catch_unwind(AssertUnwindSafe(round)) {
                        Ok(Life::GoesOn) => {}
                        Ok(Life::Ends) => table.clear_dead(reader..reader + 1),
                        Err(_) => is_wrong.store(true, SeqCst),
                    }
                }
                living.fetch_sub(1, SeqCst);
            });
        }
        // The parent.
        for round in 0u64.. {
            table.give_back(round.is_multiple_of(50), |slot| memory.empty(slot));
            if living.load(SeqCst) == 0 {
                break;
            }
            thread::yield_now();
        }
    });
    assert!(!is_wrong.load(SeqCst));
    assert!(table.give_back(true, |slot| memory.empty(slot)));
    assert_eq!(table.bytes(), 0);
}

#[derive(Debug, PartialEq, Eq)]
enum Life {
    GoesOn,
    Ends,
}

fn go_round(table: &Table, memory: &Memory, reader: u32, random: u64, now_ms: u64) -> Life {
    let dies_at = |point: u64| random >> 32 & 0xff == point;
    let file = random % FILES;
    let found = table
        .find(&key(file))
        .or_else(|| table.admit(&key(file), reader, now_ms, now_ms));
    let Some(held) = found.and_then(|entry| table.hold(&entry, reader)) else {
        return Life::GoesOn;
    };
    if dies_at(1) {
        std::mem::forget(held);
        return Life::Ends;
    }
    for piece in 0..pieces(file) {
        let word = memory.piece(held.slot, piece);
        let is_there = |crc32: u32| assert_eq!(word.load(SeqCst), u64::from(crc32));
        let own = crc32(file, piece);
        match held.crc32_of(piece) {
            Some(found) => {
                assert_eq!(found, own);
                is_there(found);
                thread::yield_now();
                is_there(found);
            }
            None => {
                let Some(lease) = held.lease(piece) else {
                    continue;
                };
                word.store(u64::MAX, SeqCst);
                thread::yield_now();
                if dies_at(2) {
                    std::mem::forget((lease, held));
                    return Life::Ends;
                }
                word.store(u64::from(own), SeqCst);
                lease.publish(own);
            }
        }
    }
    Life::GoesOn
}

#[test]
fn who_dies_while_it_changes_what_the_slots_hold_leaves_them_usable() {
    let table = table();
    for file in [4, 9, 14] {
        assert!(table.admit(&key(file), 0, KEPT_MS, KEPT_MS).is_some());
    }
    std::mem::forget(table.keep(1));
    let admit = || table.admit(&key(19), 2, 9 * KEPT_MS, 9 * KEPT_MS);
    let give_back = || table.give_back(false, |_| true);
    assert_eq!(admit(), None, "one at a time changes what the slots hold");
    assert!(table.find(&key(4)).is_some(), "nothing is put out");
    table.clear_dead(1..2);
    assert_eq!(admit(), None, "there is no room yet");
    assert!(give_back() && admit().is_some());
    assert!(table.bytes() <= BYTES_MAX);
}

#[test]
fn what_was_used_a_moment_ago_is_not_put_out() {
    let table = table();
    let admit = |file, now_ms| table.admit(&key(file), 0, now_ms, now_ms).is_some();
    let are_there = |files: [u64; 4]| files.map(|file| table.find(&key(file)).is_some());
    for (file, now_ms) in [(4, 5000), (9, 5001), (14, 5002)] {
        assert!(admit(file, now_ms));
    }
    assert!(!admit(19, 5000 + KEPT_MS - 1));
    assert_eq!(are_there([4, 9, 14, 19]), [true, true, true, false]);
    // The one that was used least recently goes, and there is room when its memory was given back.
    let entry = table.find(&key(4)).unwrap();
    table.touch(&entry, 5500);
    for _ in 0..2 {
        assert!(!admit(19, 5002 + KEPT_MS));
        assert_eq!(are_there([4, 9, 14, 19]), [true, false, true, false]);
    }
    assert!(table.give_back(false, |slot| slot == 1));
    assert!(admit(19, 5002 + KEPT_MS));
    assert_eq!(are_there([4, 9, 14, 19]), [true, false, true, true]);
    // Nor is anything that is too large for what may go.
    assert!(!table.is_current(&Entry { state: 0, ..entry }));
    table.pause_until(u64::MAX);
    assert!(!admit(23, u64::MAX - 1));
}

#[test]
fn more_files_than_slots_put_out_one_each() {
    let table = Table::new(1 << 40, READERS).unwrap();
    let admit = |file, now_ms| table.admit(&key(file), 0, now_ms, now_ms).is_some();
    let slots = SLOTS as u64;
    assert!((0..slots).all(|file| admit(file, file)));
    assert!(!admit(slots, slots + KEPT_MS));
    assert!(table.give_back(false, |_| true));
    let there = (0..=slots).filter(|file| table.find(&key(*file)).is_some());
    assert!(there.eq(1..slots), "the first one is out");
    assert!(admit(slots, slots + KEPT_MS));
}

/// Each is asked for once a cycle, and as few are put out and put there again as can be: none.
#[test]
fn files_that_are_asked_for_in_turns_and_do_not_fit_leave_those_that_are_there() {
    let table = Table::new(1 << 40, READERS).unwrap();
    let files = 3 * SLOTS as u64;
    let (mut admitted, mut hits) = (0, 0);
    for n in 0..10 * files {
        let (key, now_ms) = (key(n % files), n * KEPT_MS);
        if let Some(entry) = table.find(&key) {
            table.touch(&entry, now_ms);
            hits += 1;
        } else if let Some(last_ms) = table.last_use(&key, now_ms) {
            assert_eq!(last_ms, now_ms - files * KEPT_MS);
            admitted += usize::from(table.admit(&key, 0, last_ms, now_ms).is_some());
        }
        assert!(table.give_back(false, |_| true));
    }
    assert_eq!((admitted, hits), (SLOTS, 8 * SLOTS));
    // One that is asked for more often gets in.
    let (key, now_ms) = (key(files), 10 * files * KEPT_MS);
    assert_eq!(table.last_use(&key, now_ms), None);
    let last_ms = table.last_use(&key, now_ms + 9).unwrap();
    assert_eq!(last_ms, now_ms);
    assert!(table.admit(&key, 0, last_ms, now_ms + 9).is_none());
    assert!(table.give_back(false, |_| true));
    assert!(table.admit(&key, 0, last_ms, now_ms + 9).is_some());
}
