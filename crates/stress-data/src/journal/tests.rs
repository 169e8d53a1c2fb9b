use proptest::prelude::*;

use super::*;
use crate::machine::CpuTicks;
use crate::matrix::Selection;
use crate::testing;

fn sample(contents: &Contents, index: usize, repeat: u32, status: Status) -> Line {
    Line::Sample(Box::new(Sample {
        session: 0,
        is_warmup: false,
        cpu: Some(CpuTicks {
            total: 10,
            idle: 5,
            steal: 0,
        }),
        wall_ns: None,
        measurement: testing::measurement(contents, index, repeat, status),
    }))
}

/// A journal with a header, a session and two samples, and what it says.
fn written(folder: &Path) -> Contents {
    let mut contents = testing::contents(&Selection::default(), 1);
    let mut journal = Journal::create(folder, &contents.header).unwrap();
    let lines = [
        Line::Session(testing::session()),
        sample(&contents, 0, 0, Status::Ok),
        sample(&contents, 1, 0, Status::Failed),
    ];
    for line in lines {
        journal.append(&line).unwrap();
        contents.add(line);
    }
    contents
}

#[test]
fn what_is_written_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let contents = written(folder.path());
    assert_eq!(Contents::read(folder.path()).unwrap(), contents);
    assert_eq!(contents.samples.len(), 2);
    assert!(contents.is_taken(1, 0));
    assert!(!contents.is_taken(3, 0));
    assert!(!contents.is_finished());
}

#[test]
fn a_packed_journal_is_read_as_it_was_before() {
    let folder = tempfile::tempdir().unwrap();
    let contents = written(folder.path());
    let plain = folder.path().join(FILE_NAME);
    let pack = |bytes: &[u8]| {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    };
    let packed = pack(&std::fs::read(&plain).unwrap());
    std::fs::remove_file(&plain).unwrap();
    std::fs::write(folder.path().join(PACKED_NAME), &packed).unwrap();
    assert_eq!(Contents::read(folder.path()).unwrap(), contents);

    std::fs::write(folder.path().join(PACKED_NAME), &packed[..packed.len() / 2]).unwrap();
    let error = Contents::read(folder.path()).unwrap_err();
    assert!(error.to_string().contains(PACKED_NAME), "{error}");
}

#[test]
fn a_last_line_cut_anywhere_is_ignored_and_removed_on_resuming() {
    let folder = tempfile::tempdir().unwrap();
    let contents = written(folder.path());
    let path = folder.path().join(FILE_NAME);
    let whole = std::fs::read(&path).unwrap();
    let mut extra = serde_json::to_vec(&sample(&contents, 2, 0, Status::Ok)).unwrap();
    extra.push(b'\n');
    for cut in [1, 10, extra.len() / 2, extra.len() - 1] {
        std::fs::write(&path, [&whole, &extra[..cut]].concat()).unwrap();
        assert_eq!(
            Contents::read(folder.path()).unwrap(),
            contents,
            "cut at {cut}"
        );
        let (mut journal, resumed) = Journal::resume(folder.path()).unwrap();
        assert_eq!(resumed, contents);
        assert_eq!(std::fs::read(&path).unwrap(), whole);
        journal
            .append(&sample(&contents, 2, 0, Status::Ok))
            .unwrap();
        assert_eq!(Contents::read(folder.path()).unwrap().samples.len(), 3);
    }
}

#[test]
fn a_damaged_line_in_the_middle_is_an_error_with_its_number() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let path = folder.path().join(FILE_NAME);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[2] = "{\"sample\":";
    std::fs::write(&path, lines.join("\n") + "\n").unwrap();
    let error = Contents::read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("journal.ndjson, line 3: "), "{error}");
}

#[test]
fn a_journal_without_its_header_or_of_another_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE_NAME);
    let error = || Contents::read(folder.path()).unwrap_err().to_string();
    let whole = serde_json::to_string(&Line::Header(Box::new(testing::header(
        &Selection::default(),
        1,
    ))));
    for begun in ["", &whole.unwrap()[..40]] {
        std::fs::write(&path, begun).unwrap();
        let said = error();
        assert!(
            said.contains("has no whole line: the run was ended before"),
            "{said}"
        );
        assert!(said.contains("remove its folder"), "{said}");
    }
    let session = serde_json::to_string(&Line::Session(testing::session())).unwrap();
    std::fs::write(&path, session + "\n").unwrap();
    assert!(error().ends_with("line 1: the header is missing"));
    let mut header = testing::header(&Selection::default(), 1);
    header.schema = 99;
    std::fs::write(
        &path,
        serde_json::to_string(&Line::Header(Box::new(header))).unwrap() + "\n",
    )
    .unwrap();
    assert!(error().ends_with("line 1: it is of format 99, and this program reads formats 1 to 2"));
}

#[test]
fn what_an_editor_puts_into_a_journal_is_named_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let path = folder.path().join(FILE_NAME);
    let text = std::fs::read(&path).unwrap();
    let check = |bytes: &[u8], words: &str, cure: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = Contents::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(cure), "{error}");
        assert!(Journal::resume(folder.path()).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "nothing is changed");
    };
    let cure = "sed -i '1s/^\\xef\\xbb\\xbf//' journal.ndjson";
    let marked = [b"\xEF\xBB\xBF", &text[..]].concat();
    check(&marked, "line 1: it begins with a byte order mark", cure);
    check(b"\xFF\xFE{\0", "of UTF-16", "iconv -f UTF-16");
    let line_ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    for (number, (place, _)) in (2..).zip(line_ends) {
        for blank in ["\n", " \t\r\n"] {
            let (before, after) = text.split_at(place + 1);
            let bytes = [before, blank.as_bytes(), after].concat();
            check(&bytes, &format!("line {number}: it is blank"), "remove it");
        }
    }
    // The cure cures.
    std::fs::write(&path, marked).unwrap();
    let mut shell = std::process::Command::new("sh");
    let mended = shell.args(["-c", cure]).current_dir(folder.path()).status();
    assert!(mended.unwrap().success());
    assert_eq!(std::fs::read(&path).unwrap(), text);
}

#[test]
fn two_runs_cannot_write_one_journal() {
    let folder = tempfile::tempdir().unwrap();
    let header = testing::header(&Selection::default(), 1);
    let journal = Journal::create(folder.path(), &header).unwrap();
    assert!(matches!(
        Journal::resume(folder.path()),
        Err(Error::Locked(_))
    ));
    assert!(Contents::read(folder.path()).is_ok());
    drop(journal);
    assert!(Journal::resume(folder.path()).is_ok());
    assert!(matches!(
        Journal::create(folder.path(), &header),
        Err(Error::Io { .. })
    ));
}

#[test]
fn of_two_lines_for_one_sample_the_later_counts() {
    let mut contents = testing::contents(&Selection::default(), 1);
    contents.add(sample(&contents, 0, 0, Status::NotRun));
    assert!(!contents.is_taken(1, 0));
    contents.add(sample(&contents, 0, 0, Status::Ok));
    assert!(contents.is_taken(1, 0));
    assert_eq!(contents.samples.len(), 1);
}

#[test]
fn a_run_is_finished_when_every_repeat_of_every_cell_is_taken() {
    let selection = Selection {
        clients: vec![5],
        servers: vec![5],
        ..Selection::default()
    };
    let mut contents = testing::contents(&selection, 2);
    for index in 0..9 {
        for repeat in 0..2 {
            assert!(!contents.is_finished());
            contents.add(sample(&contents, index, repeat, Status::Failed));
        }
    }
    assert!(contents.is_finished());
}

#[test]
fn the_schemas_are_what_the_types_say() {
    let what = "journal.ndjson of a run, schema 2: each line is one of these";
    assert!(what.contains(&format!("schema {SCHEMA}:")));
    crate::schemas::keep::<Line>("journal", what);
}

proptest! {
    /// Cut at any byte, a journal reads as some of its first lines, or not at all for want of a header.
    #[test]
    fn every_prefix_reads_as_the_first_lines(share in 0.0..1.0_f64) {
        let contents = testing::contents(&Selection::default(), 1);
        let lines = [
            Line::Header(Box::new(contents.header.clone())),
            Line::Session(testing::session()),
            sample(&contents, 0, 0, Status::Ok),
            sample(&contents, 1, 0, Status::Failed),
        ];
        let text = lines.map(|line| serde_json::to_string(&line).unwrap() + "\n").concat();
        let prefix = &text.as_bytes()[..(text.len() as f64 * share) as usize];
        let whole = prefix.iter().filter(|byte| **byte == b'\n').count();
        match Contents::parse(Path::new("journal"), prefix) {
            Ok((read, whole_len)) => {
                prop_assert_eq!(read.sessions.len() + read.samples.len() + 1, whole);
                prop_assert_eq!(read.header, contents.header);
                prop_assert_eq!(whole_len == prefix.len() as u64, prefix.ends_with(b"\n"));
            }
            Err(_) => prop_assert_eq!(whole, 0),
        }
    }
}
