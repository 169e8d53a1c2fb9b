//! Uploads: where they come from, and what becomes of one that does not get to its end.

use super::*;

/// Larger than what the kernel holds between the two: it cannot all be sent to a server that does not read it.
fn write_large(program: &Program, name: &str) {
    let file = fs::File::create(program.folder.path().join(name)).unwrap();
    file.set_len(24 << 20).unwrap();
}

#[test]
fn an_upload_cut_before_its_last_byte_is_stored_by_no_prefork_server_and_maybe_in_part_by_another()
{
    for (case, ending) in [
        ("reset", vec![Act::Reset]),
        ("closed", vec![]),
        (
            "another protocol",
            vec![say("HTTP/1.1 400 Bad Request\r\n\r\n"), Act::HearEnd],
        ),
        (
            "a reply that breaks off",
            vec![say("{\"status\":"), Act::ShutDown, Act::HearEnd],
        ),
        (
            "a confirmation too early",
            vec![say("{\"status\":\"OK\"}\r\n\r\n"), Act::HearEnd],
        ),
    ] {
        let cut = [vec![Act::HearLen(1)], ending.clone()].concat();
        let server = Scripted::start(vec![cut.clone(), cut]);
        let program = Program::new(&server.name());
        write_large(&program, "a");
        let ran = program.run(&["upload", "a"], 4);
        for part in [
            "a prefork-server has not stored it",
            "may have stored what came",
        ] {
            assert!(ran.err.contains(part), "{case}: {}", ran.err);
        }
        let ran = program.run(&["upload", "a", "--json"], 4);
        assert_eq!(
            ran.json()[0]["error"]["fate_unknown"],
            json!(true),
            "{case}"
        );

        // A checksum tells that it is one.
        let first = vec![EOL, say(&upload_reply("b", b"hello")), Act::HearLen(1)];
        let server = Scripted::once([first, ending].concat());
        let program = Program::new(&server.name());
        program.write("b", b"hello");
        write_large(&program, "a");
        let ran = program.run(&["upload", "b", "a"], 1);
        let wanted = "error: a: not stored, it was cut before its last byte was sent: ";
        assert!(ran.err.contains(wanted), "{case}: {}", ran.err);
        assert!(!ran.err.contains("unknown"), "{case}: {}", ran.err);
    }
}

#[test]
fn an_upload_given_up_before_its_last_byte_is_not_stored_either() {
    // Nobody accepts: what fits in the kernel's buffers is taken, and no more.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let program = Program::new(&listener.local_addr().unwrap().to_string());
    write_large(&program, "a");
    let ran = program.run(&["upload", "a", "--timeout", "50ms"], 4);
    assert!(
        ran.err.contains("a prefork-server has not stored it"),
        "{}",
        ran.err
    );
}

#[test]
fn an_upload_comes_from_a_pipe() {
    let file = content(300_000);
    let server = Scripted::once(vec![EOL, say(&upload_reply("a", &file))]);
    let program = Program::new(&server.name());
    let mut child = program
        .command(&["upload", "-", "--as", "a"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&file).unwrap();
    check_code(child.wait_with_output().unwrap(), 0);
    assert!(server.heard()[0].text() == format!("UPLOAD a {}\r\n", base64(&file)));
}

/// What becomes of the upload of a large file that is changed while the server takes no more of it.
fn upload_while(change: impl FnOnce(&fs::File)) -> (Ran, common::Heard) {
    let (meet, met) = mpsc::sync_channel(0);
    let server = Scripted::once(vec![Act::HearLen(1), Act::Pause(meet), Act::HearEnd]);
    let program = Program::new(&server.name());
    write_large(&program, "log");
    let path = program.folder.path().join("log");
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let child = program.command(&["upload", "log"]).spawn().unwrap();
    met.recv_timeout(PATIENCE).unwrap();
    change(&file);
    met.recv_timeout(PATIENCE).unwrap();
    let ran = check_code(child.wait_with_output().unwrap(), 1);
    (ran, server.heard().remove(0))
}

#[test]
fn a_file_that_changes_its_length_while_it_is_uploaded_is_an_error_and_not_stored() {
    fn wrote_on(mut file: &fs::File) {
        use std::io::{Seek, SeekFrom};
        file.seek(SeekFrom::End(0)).unwrap();
        file.write_all(b"one line more\n").unwrap();
    }
    type Change = fn(&fs::File);
    let changes: [(Change, &str); 3] = [
        (|file| file.set_len(0).unwrap(), "gave only "),
        (
            |file| file.set_len((24 << 20) - 1).unwrap(),
            "gave only 25165823",
        ),
        (wrote_on, "gave more"),
    ];
    for (change, wanted) in changes {
        let (ran, heard) = upload_while(change);
        for part in [
            wanted,
            "log: it had 25165824 bytes",
            "upload it again",
            "another server may have stored what came",
        ] {
            assert!(ran.err.contains(part), "{part}: {}", ran.err);
        }
        assert!(!ran.err.contains("verified"), "{}", ran.err);
        // The end of the request never came, and a reset says that it never will.
        assert!(heard.was_reset && !heard.bytes.ends_with(b"\n"), "{wanted}");
    }
}

#[test]
fn a_file_whose_size_says_nothing_goes_through_a_pipe() {
    let server = Scripted::once(vec![Act::HearEnd]);
    let ran = Program::new(&server.name()).run(&["upload", "/proc/self/status"], 1);
    assert!(ran.err.contains("cat PATH | prefork-client"), "{}", ran.err);
    // Nothing was sent.
    assert!(!ran.err.contains("another server"), "{}", ran.err);
    assert!(server.heard()[0].was_reset);
}

#[test]
fn standard_input_that_was_read_in_part_gives_the_rest() {
    use std::io::{Seek, SeekFrom};
    let server = Scripted::once(vec![EOL, say(&upload_reply("a", b"rest"))]);
    let program = Program::new(&server.name());
    program.write("whole", b"some rest");
    let mut file = fs::File::open(program.folder.path().join("whole")).unwrap();
    file.seek(SeekFrom::Start(5)).unwrap();
    let mut command = program.command(&["upload", "-", "--as", "a"]);
    check_code(command.stdin(file).output().unwrap(), 0);
}

#[test]
fn an_unreadable_file_does_not_keep_the_others_from_being_sent() {
    let server = Scripted::once(vec![EOL, say(&upload_reply("a", b"hello"))]);
    let program = Program::new(&server.name());
    program.write("a", b"hello");
    fs::create_dir(program.folder.path().join("folder")).unwrap();
    let ran = program.run(&["upload", "missing", "folder", "a"], 1);
    assert!(
        ran.err
            .contains("cannot read missing: no such file or directory"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("it is a folder"), "{}", ran.err);
    assert!(ran.err.contains("1 of 3 files done"), "{}", ran.err);
}

#[test]
fn an_interrupted_upload_is_reset_and_not_ended() {
    let (tell, told) = mpsc::channel();
    let server = Scripted::once(vec![Act::HearLen(100_000), Act::Tell(tell), Act::HearEnd]);
    let program = Program::new(&server.name());
    let mut child = program
        .command(&["upload", "-", "--as", "a"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    // The pipe stays open: the program waits for more when the signal comes.
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&content(96 << 10)).unwrap();
    told.recv_timeout(PATIENCE).unwrap();
    interrupt(&child);
    check_code(child.wait_with_output().unwrap(), 130);
    assert!(server.heard()[0].was_reset);
}
