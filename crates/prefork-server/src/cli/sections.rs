//! What stands below the flags of the help, and in the manual.

use cli_kit::{Lead, Section, Topic};

pub(super) const SECTIONS: [Section; 8] = [
    Section::new(Topic::Examples, Lead::Help("Examples"), EXAMPLES),
    Section::new(
        Topic::Signals,
        Lead::Both("Signals, to the parent"),
        SIGNALS,
    ),
    Section::new(Topic::Description, Lead::Nothing, OUTPUT),
    Section::new(Topic::ExitStatus, Lead::Help("Exit codes"), EXIT_CODES),
    Section::new(Topic::Environment, Lead::ManualOnly, ENVIRONMENT),
    Section::new(Topic::Files, Lead::ManualOnly, FILES),
    Section::new(Topic::Notes, Lead::ManualOnly, NOTES),
    Section::new(Topic::SeeAlso, Lead::ManualOnly, SEE_ALSO),
];

const EXAMPLES: &str = "  prefork-server                                   serve ./files on 127.0.0.1:46666 with 5 worker processes
  prefork-server --root /srv/files --workers 50    another folder, a larger pool
  prefork-server --pool thread                     threads instead of processes
  prefork-server --pool event --workers 2          processes that serve many connections each
  prefork-server --bind 0.0.0.0:46666              for other machines too (no authentication: mind who can reach it)
  prefork-server --config server.toml              settings from a file; flags override it
  prefork-server --config server.toml --check-config     is the file right? (starts nothing)
  prefork-server --user www --root /srv/files      started as root, runs as www
  prefork-server --user www --root /srv/files --self-test      what a worker could reach then, tried out
  prefork-server --admin /run/prefork.sock         let itself be asked; then, from another terminal:
  prefork-server status /run/prefork.sock --watch  what is it doing?";

const SIGNALS: &str =
    "  TERM, INT   first: stop gracefully, losing no client that is queued; second: stop at once
  QUIT        stop at once
  HUP         read the configuration file again and replace the workers one by one
  USR1        open --access-log and --log-file anew, after they were moved away
  USR2        start this program's file anew on the same socket; leave when the new server is ready
  TTIN, TTOU  one worker more, one less";

const OUTPUT: &str = "\
Clients send one request a line: LIST, GET name, DELETE name, UPLOAD name base64 (the base64 also on the next line, or as
Python's b'...'; also DOWNLOAD, POST, PUT, ADD, HAPUS). What a client sends that is not taken is refused with the reason.

Standard output carries two JSON lines: READY (address, process ids, settings in force) and DONE (the ledger); on a
terminal two sentences (--ready).";

const EXIT_CODES: &str = "  0    stopped, nothing cut short
  1    error
  2    usage
  3    stopped, but connections were cut
  4    gave up on its workers";

const ENVIRONMENT: &str = "  LISTEN_FDS, LISTEN_PID  a listening socket that a service manager hands over, instead of --bind: sd_listen_fds(3)
  NOTIFY_SOCKET           where a service manager is told of readiness, reloads and stops: sd_notify(3)";

const FILES: &str = "  ./files         the folder that is served, unless --root names another; names that start with a dot are not served
  .prefork-tmp.*  in that folder: uploads that are not complete yet; what a killed server left is removed at the next start
  .prefork-lock   in that folder: locked by the one server that writes to it, and removed when it stops";

const NOTES: &str = "\
The protocol has no authentication and no encryption; the default address is this machine's own.

An upload that replaces a file keeps its read and write bits. Owner, ACL, and the bits for executing, setuid and setgid are \
not kept: the file belongs to the user that the server runs as. A new file has mode 0644, less the umask.

Every setting of the TOML file that --config names is a flag without its dashes.";

const SEE_ALSO: &str = "prefork-client(1), stress(1), signal(7), systemd.socket(5), landlock(7)";
