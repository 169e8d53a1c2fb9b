//! What the protocol promises, under every pool.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt;

use serde_json::json;

use crate::support::{DEADLINE, Server, content, each_pool, noise, upload};

/// Around every buffer's edge: the codec's groups, the pieces of file and wire.
const LENGTHS: [usize; 14] = [
    0, 1, 2, 3, 4, 95, 98_303, 98_304, 98_305, 196_608, 262_143, 262_144, 262_147, 3_000_001,
];

each_pool! {
    fn what_was_uploaded_comes_back_to_the_byte(pool) {
        let server = Server::start(pool, &["--workers", "2"]);
        let mut peer = server.connect();
        for (seed, len) in LENGTHS.into_iter().enumerate() {
            let sent = noise(seed as u64, len);
            let stored = peer.ask(upload("f.bin", &sent));
            let crc32 = format!("{:08x}", crc32fast::hash(&sent));
            let want = json!({"status": "OK", "data": "f.bin has been uploaded", "size": len, "crc32": crc32});
            assert_eq!(stored, want);
            assert_eq!(server.stored("f.bin").unwrap(), sent);
            let got = peer.ask("GET f.bin\r\n");
            assert_eq!(content(&got), sent, "{len}");
            assert_eq!((&got["size"], &got["crc32"]), (&json!(len), &json!(crc32)));
            assert_eq!(got["data_namafile"], "f.bin");
        }
        drop(peer);
        let (done, code) = server.stop();
        let ok = &done.sum.requests.ok;
        assert_eq!((ok.upload, ok.get), (14, 14));
        let bytes: usize = LENGTHS.iter().sum();
        assert_eq!(done.sum.requests.ok_bytes.get, bytes as u64);
        assert_eq!(done.sum.requests.ok_bytes.upload, bytes as u64);
        assert_eq!(code, 0);
    }

    fn a_listing_shows_regular_files_sorted_by_bytes(pool) {
        let server = Server::start(pool, &[]);
        for name in ["b.txt", "a.txt", "Z", "no dot", ".hidden"] {
            server.put(name, b"x");
        }
        std::fs::create_dir(server.root().join("folder")).unwrap();
        std::os::unix::fs::symlink("a.txt", server.root().join("link")).unwrap();
        let reply = server.connect().ask("list\r\n");
        assert_eq!(reply, json!({"status": "OK", "data": ["Z", "a.txt", "b.txt", "no dot"]}));
        let (done, _) = server.stop();
        let json_len = reply.to_string().len() as u64;
        assert_eq!(done.sum.requests.ok_bytes.list, json_len);
    }

    fn a_deleted_file_is_gone(pool) {
        let server = Server::start(pool, &[]);
        server.put("a.txt", b"x");
        let mut peer = server.connect();
        assert_eq!(peer.ask("DELETE a.txt\r\n"), json!({"status": "OK", "message": "a.txt has been deleted"}));
        assert_eq!(server.entries(), [""; 0]);
        assert_eq!(peer.ask("DELETE a.txt\r\n")["code"], "not_found");
    }

    fn every_end_of_line_and_every_verb_of_the_known_clients_is_taken(pool) {
        let server = Server::start(pool, &[]);
        server.put("a.txt", b"abc");
        let mut peer = server.connect();
        for request in ["GET a.txt\r\n", "GET a.txt\n", "get a.txt\r\n\r\n", "Download \"a.txt\"\r\n\r\n"] {
            assert_eq!(content(&peer.ask(request)), b"abc", "{request:?}");
        }
        for request in ["UPLOAD n QUJD\r\n", "POST n QUJD\n", "put n QUJD\r\n\r\n", "ADD n QUJD\r\n", "UPLOAD n b'QUJD'\r\n"] {
            assert_eq!(peer.ask(request)["size"], 3, "{request:?}");
        }
        for request in ["UPLOAD n\r\nQUJD\r\n", "UPLOAD n\nQUJD\n\n", "UPLOAD \"n\"\r\nb'QUJD'\r\n\r\n"] {
            assert_eq!(peer.ask(request)["size"], 3, "{request:?}");
        }
        assert_eq!(server.stored("n").unwrap(), b"ABC");
        server.put("gone", b"x");
        assert_eq!(peer.ask("HAPUS gone\r\n")["message"], "gone has been deleted");
        // The empty lines were ignored silently: this reply is the next one.
        assert_eq!(peer.ask("LIST\r\n")["data"], json!(["a.txt", "n"]));
    }

    fn pipelined_requests_are_answered_in_order(pool) {
        let server = Server::start(pool, &[]);
        let mut requests = Vec::new();
        for n in 0..20u8 {
            requests.extend(upload(&format!("f{n}"), &noise(n.into(), 50_000)));
            requests.extend(format!("GET f{n}\r\n").into_bytes());
        }
        let mut peer = server.connect();
        let mut writer = peer.stream.try_clone().unwrap();
        // Both sides move at once: the replies are larger than any buffer between.
        let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &requests).unwrap());
        for n in 0..20u8 {
            assert_eq!(peer.reply()["data"], format!("f{n} has been uploaded"));
            assert_eq!(content(&peer.reply()), noise(n.into(), 50_000));
        }
        writing.join().unwrap();
    }

    fn a_client_that_stops_sending_still_gets_its_reply(pool) {
        let server = Server::start(pool, &[]);
        server.put("big", &noise(1, 5_000_000));
        let mut peer = server.connect();
        peer.send("GET big\r\n").finish_sending();
        assert_eq!(content(&peer.reply()).len(), 5_000_000);
        peer.expect_end();
    }

    fn an_upload_cut_short_leaves_no_file(pool) {
        let server = Server::start(pool, &[]);
        server.put("kept", b"old content");
        let request = upload("kept", &noise(1, 1000));
        for cut in [1, 11, 12, 13, 100, request.len() - 3, request.len() - 2] {
            let mut peer = server.connect();
            peer.send(&request[..cut]).finish_sending();
            // Nothing is executed and nothing is answered: the server just closes.
            peer.expect_end();
        }
        assert_eq!(server.entries(), ["kept"]);
        assert_eq!(server.stored("kept").unwrap(), b"old content");
        let (done, _) = server.stop();
        assert_eq!(done.sum.connections.client_gone, 7);
    }

    fn a_download_is_not_touched_by_a_replacement(pool) {
        let server = Server::start(pool, &["--workers", "2"]);
        let old = vec![1; 20_000_000];
        server.put("f", &old);
        let mut reader = server.connect();
        reader.send("GET f\r\n");
        // The first byte of the reply says that the file is open.
        assert_eq!(reader.stream.peek(&mut [0]).unwrap(), 1);
        assert_eq!(server.connect().ask(upload("f", b"new"))["status"], "OK");
        assert_eq!(content(&reader.reply()), old);
        assert_eq!(content(&server.connect().ask("GET f\r\n")), b"new");
    }

    fn the_last_of_many_uploads_to_one_name_is_whole(pool) {
        let server = Server::start(pool, &["--workers", "5"]);
        let contents: Vec<_> = (0..5).map(|seed| noise(seed, 700_000)).collect();
        std::thread::scope(|scope| {
            for content in &contents {
                scope.spawn(|| {
                    for _ in 0..5 {
                        assert_eq!(server.connect().ask(upload("one", content))["status"], "OK");
                    }
                });
            }
        });
        assert!(contents.contains(&server.stored("one").unwrap()));
        assert_eq!(server.entries(), ["one"]);
    }

    fn unterminated_requests_count_only_where_they_are_accepted(pool) {
        let server = Server::start(pool, &["--accept-unterminated", "50ms"]);
        server.put("a.txt", b"abc");
        let mut peer = server.connect();
        assert_eq!(peer.ask("LIST")["data"], json!(["a.txt"]));
        assert_eq!(content(&peer.ask("GET a.txt")), b"abc");
        // An upload without its end of line is a cut-off upload, however long it is silent.
        peer.send("UPLOAD b.txt QUJD").finish_sending();
        peer.expect_end();
        assert_eq!(server.entries(), ["a.txt"]);
    }

    fn a_body_on_the_next_line_is_waited_for_as_a_head_is(pool) {
        let server = Server::start(pool, &["--workers", "1", "--accept-unterminated", "20ms"]);
        let mut waiting = server.connect();
        waiting.send("UPLOAD n\r\n");
        // It keeps nobody waiting, and no silence ends it.
        for _ in 0..3 {
            assert_eq!(server.connect().ask("LIST")["data"], json!([]));
        }
        assert_eq!(waiting.ask("QUJD\r\n")["size"], 3);
        server.stop();

        let server = Server::start(pool, &["--workers", "1", "--head-timeout", "200ms"]);
        for sent in ["UPLOAD late\r\n", "UPLOAD late\r\nLIST"] {
            let mut late = server.connect();
            assert_eq!(late.ask(sent)["code"], "timeout");
            late.expect_end();
        }
        let (done, _) = server.stop();
        assert_eq!(done.sum.connections.timed_out, 2);
    }

    fn a_reply_whose_file_is_changed_in_place_breaks_off_and_the_log_says_so(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        // More than the kernel takes of a reply that nobody reads.
        server.put("f", &noise(1, 40_000_000));
        let mut client = TcpStream::connect(&server.ready.address).unwrap();
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        client.write_all(b"GET f\r\n").unwrap();
        client.read_exact(&mut [0]).unwrap();
        let file = File::options().write(true).open(server.root().join("f")).unwrap();
        file.write_all_at(b"changed", 0).unwrap();
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).unwrap();
        assert!(!rest.ends_with(b"\r\n\r\n"));
        server.wait_for_log("the file was changed in place while it was sent");
        server.stop();
    }

    fn a_body_as_long_as_a_wrapped_line_is_stored_when_nothing_follows_at_once(pool) {
        let server = Server::start(pool, &["--workers", "1"]);
        for len in [48, 57] {
            let content = noise(len as u64, len);
            // Silence, an empty line, the next request, and the end of input.
            let mut peer = server.connect();
            assert_eq!(peer.ask(upload("silence", &content))["size"], len);
            assert_eq!(peer.ask([upload("line", &content), b"\r\n".to_vec()].concat())["size"], len);
            assert_eq!(peer.ask([upload("next", &content), b"LIST\r\n".to_vec()].concat())["size"], len);
            assert_eq!(peer.reply()["data"].as_array().unwrap().len(), if len == 48 { 3 } else { 4 });
            peer.send(upload("end", &content)).finish_sending();
            assert_eq!(peer.reply()["size"], len);
            peer.expect_end();
            for name in ["silence", "line", "next", "end"] {
                assert_eq!(server.stored(name).unwrap(), content);
            }
        }
        let (done, code) = server.stop();
        assert_eq!((done.sum.requests.ok.upload, done.sum.connections.closed, code), (8, 2, 0));
    }
}
