//! Listings: what is printed, and how much of it is taken.

use super::*;

#[test]
fn a_listing_is_one_name_a_line() {
    let reply = "{\"status\":\"OK\",\"data\":[\"a.bin\",\"two words\"]}\r\n\r\n";
    let server = Scripted::start(vec![vec![EOL, say(reply)], vec![EOL, say(reply)]]);
    let program = Program::new(&server.name());
    let ran = program.run(&["list"], 0);
    assert_eq!((&ran.out[..], &ran.err[..]), ("a.bin\ntwo words\n", ""));
    let listing = program.run(&["list", "--json"], 0).json().remove(0);
    assert_eq!(listing["names"], json!(["a.bin", "two words"]));
    assert_eq!(listing["truncated"], json!(false));
}

/// A script takes each line for a file of its folder.
#[test]
fn names_that_are_no_file_names_are_not_listed_and_nothing_is_said_that_a_terminal_obeys() {
    for wrong in [
        "../up",
        "/etc/passwd",
        "folder/a",
        "a\\b",
        "..",
        ".hidden",
        "",
        " ",
        "two\nlines",
        "\u{1b}[31mred",
        "\u{202e}gpj.exe",
        "a\0b",
        &"n".repeat(256),
    ] {
        let names = json!(["a.bin", wrong, "b.bin"]);
        let reply =
            json!({"status": "OK", "data": names, "truncated": true}).to_string() + "\r\n\r\n";
        let server = Scripted::start(vec![vec![EOL, say(&reply)]; 3]);
        let program = Program::new(&server.name());
        for args in [&["list"][..], &["list", "--quiet"]] {
            let ran = program.run(args, 1);
            assert_eq!(ran.out, "a.bin\nb.bin\n", "{wrong:?}");
            let wanted = "error: the server lists a name that is not a file name, left out here: '";
            assert!(ran.err.contains(wanted), "{wrong:?}: {}", ran.err);
            let is_visible = |line: &str| line.chars().all(|c| c == ' ' || c.is_ascii_graphic());
            assert!(ran.err.lines().count() == 2 && ran.err.lines().all(is_visible));
        }
        let listing = program.run(&["list", "--json"], 1).json().remove(0);
        assert_eq!(listing["names"], json!(["a.bin", "b.bin"]), "{wrong:?}");
        let (ok, kind) = (&listing["ok"], &listing["error"]["kind"]);
        assert_eq!(
            (ok, kind),
            (&json!(false), &json!("bad_reply")),
            "{wrong:?}"
        );
    }
}

#[test]
fn of_many_names_that_are_none_a_few_are_told() {
    let names: Vec<_> = (0..100).map(|number| format!("../{number}")).collect();
    let reply = json!({"status": "OK", "data": names}).to_string() + "\r\n\r\n";
    let server = Scripted::once(vec![EOL, say(&reply)]);
    let ran = Program::new(&server.name()).run(&["list"], 1);
    let wanted = "error: the server lists names that are not file names, left out here: \
                  '../0', '../1', '../2', '../3', '../4' and 95 more\n";
    assert_eq!((&ran.out[..], &ran.err[..]), ("", wanted));
}

#[test]
fn what_is_too_long_is_told_with_the_flag_that_allows_more() {
    let file = content(3_000);
    let listing = json!({"status": "OK", "data": vec!["a.bin"; 100]}).to_string() + "\r\n\r\n";
    let file_reply = [EOL, say(&get_reply("a", &file)), Act::HearEnd].to_vec();
    let listing_reply = [EOL, say(&listing), Act::HearEnd].to_vec();
    let server = Scripted::start(vec![
        file_reply.clone(),
        file_reply,
        listing_reply.clone(),
        listing_reply,
    ]);
    let program = Program::new(&server.name());
    let ran = program.run(&["get", "a", "--download-max", "2K"], 1);
    let wanted = "a: the content is longer than 2048 bytes — allow more with --download-max";
    assert!(ran.err.contains(wanted), "{}", ran.err);
    assert!(program.files().is_empty());
    program.run(&["get", "a", "--download-max", "3KB"], 0);
    assert!(program.read("a") == file);
    let ran = program.run(&["list", "--listing-max", "1K"], 1);
    let wanted = "the reply is longer than 1024 bytes — allow more with --listing-max";
    assert!(
        ran.err.contains(wanted) && ran.out.is_empty(),
        "{}",
        ran.err
    );
    program.run(&["list", "--listing-max", "1M"], 0);
    server.heard();
    let ran = program.run(&["list", "--listing-max", "much"], 2);
    assert!(
        ran.err.contains("invalid size 'much': write bytes"),
        "{}",
        ran.err
    );
}
