//! What stands below the flags of the help, and in the manual.

use cli_kit::{Lead, Section, Topic};

pub(crate) const SECTIONS: [Section; 5] = [
    Section::new(Topic::Examples, Lead::Help("Examples"), EXAMPLES),
    Section::new(Topic::Description, Lead::Nothing, PROMISES),
    Section::new(Topic::ExitStatus, Lead::Help("Exit codes"), EXIT_CODES),
    Section::new(Topic::Environment, Lead::ManualOnly, ENVIRONMENT),
    Section::new(
        Topic::SeeAlso,
        Lead::ManualOnly,
        "prefork-server(1), stress(1)",
    ),
];

const EXAMPLES: &str =
    "  prefork-client list                                    what is on the server
  prefork-client upload report.pdf                       stored as report.pdf
  prefork-client upload ~/big.iso --as image.iso         under another name
  tar c src | prefork-client upload - --as src.tar       from a pipe
  prefork-client get report.pdf                          into the current folder
  prefork-client get a.bin b.bin -o downloads/           several, into a folder that is there
  prefork-client get src.tar -o - | tar t                to standard output
  prefork-client delete report.pdf
  prefork-client --server files.example:46666 --json list";

const PROMISES: &str = "\
A download appears under its name only when it is complete and agrees with the size and CRC-32 \
that the server sends; an interrupted one leaves nothing. With --force it keeps the permission bits of the \
file that it replaces (but setuid and setgid), not its owner and not its ACL. An upload or a delete that may have been \
carried out already is never sent again: it is reported as unknown. An upload that was cut before its last \
byte was sent is not stored by a prefork-server; other servers may have stored what came.";

const EXIT_CODES: &str = "  0    all done
  1    some file failed: refused, changed on its way, or not usable on this side; or a name listed is none
  2    usage
  3    cannot connect to the server
  4    at least one upload or delete may or may not have been carried out
  130  interrupted";

const ENVIRONMENT: &str = "  PREFORK_SERVER  the server, where --server is not given";
