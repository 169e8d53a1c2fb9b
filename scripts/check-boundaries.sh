#!/usr/bin/env bash
# Asserts the absences that ARCHITECTURE.md states: what a crate must not know, and where unsafe code lives.
set -euo pipefail
cd "$(dirname "$0")/.."

failed=0
absent() { # what it would mean, then a command that must find nothing
    local meaning=$1
    shift
    local found
    found=$("$@" || true)
    if [ -n "$found" ]; then
        printf 'not so: %s\n%s\n' "$meaning" "$found" >&2
        failed=1
    fi
}

absent "proto performs no I/O" \
    grep -rnE 'std::(fs|net|process)|nix::' crates/proto/src
absent "proto has no clock" \
    grep -rnE 'std::time|Instant|SystemTime' crates/proto/src
absent "proto does not reach nix" \
    sh -c "cargo tree -p proto -e normal --prefix none --locked | grep -E '^nix '"
absent "client does not reach prefork-server" \
    sh -c "cargo tree -p client -e normal --prefix none --locked | grep -E '^prefork-server '"
absent "who uses the client as a library gets no clap" \
    sh -c "cargo tree -p client --no-default-features -e normal --prefix none --locked | grep -E '^(clap|cli-kit) '"
for crate in stress-data stress-report; do
    absent "$crate starts no process, opens no socket and knows no command line" \
        sh -c "cargo tree -p $crate -e normal --prefix none --locked | grep -E '^(nix|clap|cli-kit|client|prefork-server|stress) '"
done
absent "stress-data does not reach stress-report" \
    sh -c "cargo tree -p stress-data -e normal --prefix none --locked | grep -E '^stress-report '"
absent "a session knows no socket and no clock" \
    grep -rnE 'std::net|std::time|Instant' crates/prefork-server/src/connection/session.rs crates/prefork-server/src/connection/session
absent "an event worker's set of connections knows no socket" \
    grep -nE 'std::(net|os)|nix::' crates/prefork-server/src/pool/worker/event/connection_set.rs
absent "unsafe code lives in sys.rs only" \
    sh -c "grep -rnE '\bunsafe( |\$)' crates --include=*.rs | grep -vE 'crates/prefork-server/src/sys.rs|//'"
absent "tables are laid out in screen only" \
    grep -rnE '\{[a-z_]*:[<>][0-9]+\}.*\{[a-z_]*:[<>][0-9]+\}|comfy_table|console::(Term|measure|truncate)' \
    crates --include=*.rs --exclude-dir=screen
absent "screen knows no other of our crates" \
    sh -c "cargo tree -p screen -e normal --prefix none --locked | grep -E '^(proto|cli-kit|client|prefork-server|stress) '"
absent "no test is ignored" \
    grep -rnE '#\[ignore' crates --include=*.rs

exit "$failed"
