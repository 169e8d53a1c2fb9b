//! What ends that has no end of its own: silence, and replies that are too long.

use super::*;

#[test]
fn a_silent_server_is_given_up_after_the_idle_timeout() {
    let server = Scripted::once(vec![LIST, Act::HearEnd]);
    let idle_timeout = Duration::from_millis(30);
    let mut connection = Connection::connect(
        server.address,
        &Options {
            idle_timeout,
            ..options()
        },
    )
    .unwrap();
    match connection.list(&mut ()) {
        Err(Error::Timeout(limit)) => assert_eq!(limit, idle_timeout),
        other => panic!("{other:?}"),
    }
    assert!(matches!(connection.list(&mut ()), Err(Error::Unusable(_))));
    server.heard();
}

#[test]
fn a_server_that_takes_no_more_is_given_up_after_the_idle_timeout() {
    // Nobody accepts: what fits in the kernel's buffers is taken, and no more.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let options = Options {
        idle_timeout: Duration::from_millis(30),
        ..options()
    };
    let mut connection = Connection::connect(listener.local_addr().unwrap(), &options).unwrap();
    let result = connection.upload(&name(), &mut io::repeat(7), &mut ());
    assert!(matches!(result, Err(Error::Timeout(_))), "{result:?}");
}

#[test]
fn a_server_that_never_comes_to_an_end_is_given_up_after_the_operation_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let endless = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream
            .write_all(b"{\"status\":\"OK\",\"data_file\":\"")
            .unwrap();
        while stream.write_all(&[b'A'; 1 << 16]).is_ok() {}
    });
    let operation_timeout = Duration::from_millis(50);
    let options = Options {
        operation_timeout: Some(operation_timeout),
        ..options()
    };
    let mut connection = Connection::connect(address, &options).unwrap();
    match connection.get(&name(), &mut io::sink(), &mut ()) {
        Err(Error::Timeout(limit)) => assert_eq!(limit, operation_timeout),
        other => panic!("{other:?}"),
    }
    endless.join().unwrap();
}

/// A server that answers whatever it is asked with `start` and then `piece` without end.
fn endless(start: &str, piece: &str) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (start, piece) = (start.to_owned(), piece.repeat((1 << 16) / piece.len()));
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.read_exact(&mut [0]).unwrap();
        stream.write_all(start.as_bytes()).unwrap();
        while stream.write_all(piece.as_bytes()).is_ok() {}
    });
    (address, thread)
}

/// Takes bytes and counts them.
struct Counting(u64);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_endless_reply_ends_at_its_bound_wherever_it_has_no_end() {
    let options = Options {
        listing_len_max: 300_000,
        download_len_max: 1_000_000,
        ..options()
    };
    let content = "{\"status\":\"OK\",\"data_file\":\"";
    for (start, piece) in [
        ("{\"data\":[\"a\"", ",\"a.bin\""),
        ("{\"data\":[\"a\"", ",\"\""),
        ("{\"x\":\"", "aaaa"),
        ("{\"x\":[0", ",[1]"),
        ("{\"x\":0", ",\"y\":0"),
        ("{", "   \t"),
        ("\n", " \n"),
        (content, "AAAA"),
        (content, "\\/\\u0041+A"),
        ("{\"data_file\":\"AAAA\",\"x\":\"", "aaaa"),
        ("{\"status\":\"OK\"}", "    "),
    ] {
        let is_content = start == content;
        for operation in ["list", "get", "upload", "delete"] {
            let (address, server) = endless(start, piece);
            let mut connection = Connection::connect(address, &options).unwrap();
            let mut sink = Counting(0);
            let (name, source) = (name(), &mut &b"hello"[..]);
            let result = match operation {
                "list" => connection.list(&mut ()).map(drop),
                "get" => connection.get(&name, &mut sink, &mut ()).map(drop),
                "upload" => connection.upload(&name, source, &mut ()).map(drop),
                _ => connection.delete(&name).map(drop),
            };
            let wanted = match is_content && operation == "get" {
                true => (client::Part::Content, 1_000_000),
                false => (client::Part::Rest, 300_000),
            };
            match result {
                Err(Error::TooLong { part, limit, under }) => {
                    assert_eq!((part, limit), wanted);
                    let is_elsewhere = start.starts_with("{\"x\"") && operation == "get";
                    let key = under.as_deref().map(|key| &key[..1]);
                    assert_eq!(key.is_some(), is_elsewhere, "{start}: {under:?}");
                }
                other => panic!("{operation}: {start}{piece}…: {other:?}"),
            }
            assert!(sink.0 <= 1_000_000, "{}", sink.0);
            assert!(!connection.is_usable(Duration::ZERO));
            drop(connection);
            server.join().unwrap();
        }
    }
}

#[test]
fn what_is_as_long_as_its_bound_is_taken_however_it_is_written() {
    let file = content(300_000);
    // As PHP writes it, and as nobody does: the text is then eight times as long as the content.
    let slashes = base64(&file).replace('/', "\\/");
    let escapes: String = base64(&file)
        .chars()
        .map(|c| format!("\\u{:04x}", c as u32))
        .collect();
    for text in [base64(&file), slashes, escapes] {
        let reply = format!("{{\"status\":\"OK\",\"data_file\":\"{text}\"}}\r\n\r\n");
        for (download_len_max, is_taken) in [(300_000, true), (299_999, false)] {
            let server = Scripted::once(vec![GET, say(&reply), Act::HearEnd]);
            let options = Options {
                download_len_max,
                listing_len_max: 1_000,
                ..options()
            };
            let mut connection = Connection::connect(server.address, &options).unwrap();
            let mut sink = Counting(0);
            let result = connection.get(&name(), &mut sink, &mut ());
            match result {
                Ok(download) => assert!(is_taken && download.size == 300_000),
                Err(Error::TooLong { .. }) => assert!(!is_taken && sink.0 < 300_000),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn an_interrupt_ends_the_waiting() {
    let server = Scripted::once(vec![LIST, Act::HearEnd]);
    let (mut trigger, watched) = UnixStream::pair().unwrap();
    let options = Options {
        interrupt: Some(Interrupt::from(OwnedFd::from(watched))),
        ..options()
    };
    let mut connection = Connection::connect(server.address, &options).unwrap();
    let waiting = std::thread::spawn(move || connection.list(&mut ()));
    trigger.write_all(b"!").unwrap();
    assert!(matches!(waiting.join().unwrap(), Err(Error::Interrupted)));
    server.heard();
}
