#!/usr/bin/env python3
"""How often `stress compare RUN` takes equal servers for different, and how often it finds one that is slower.

    cargo build --release
    python3 scripts/alarms.py --stress target/release/stress --runs 20

Each run has four subjects: our server twice, and a Python server twice, of which the second one takes 30 % longer in uploads. Two
counts are printed: of how many runs the equal ones end in an alarm (exit 4; chance gives one in twenty), and in how many
the slow one is found by its uploads. Exit 1 if there are more than 3 alarms in 20, or fewer than 18 of 20 are found.

    python3 scripts/alarms.py --serve FACTOR --port PORT --workers N --root DIR

is that Python server: scripts/reference_server.py, whose workers go on working for a part of the time that an upload took.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import reference_server  # noqa: E402

ALARMS_MAX_OF_20 = 3
FOUND_MIN_OF_20 = 18
RUN_LIMIT_S = 120
ROWS = "--op download,upload --size 1M,5M --clients 1,5 --servers 5 --repeat 3"


class Slowed:
    """A connection whose uploads are answered later: by a share of the time since their first byte came, all of it work."""

    def __init__(self, connection, factor):
        self._connection, self._factor, self._began, self._is_upload = connection, factor, None, False

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def recv(self, *arguments):
        data = self._connection.recv(*arguments)
        if self._began is None:
            self._began, self._is_upload = time.monotonic(), data.startswith(b"UPLOAD")
        return data

    def sendall(self, data):
        now = time.monotonic()
        until = now + (self._factor - 1) * (now - self._began) * self._is_upload
        while time.monotonic() < until:
            pass
        self._began = None
        self._connection.sendall(data)


def serve(options):
    answer = reference_server.Server._answer_requests
    reference_server.Server._answer_requests = lambda server, connection: answer(server, Slowed(connection, options.serve))
    server = reference_server.Server(reference_server.Files(options.root), "any", False)
    listener = reference_server.listen("127.0.0.1", options.port)
    return reference_server.serve_with_processes(server, listener, options.workers)


def compared(stress, out, names):
    words = [word for name in names for word in ("--subject", name)]
    said = subprocess.run([stress, "compare", "latest", "--json", "--out", out, *words], capture_output=True, text=True)
    if said.returncode not in (0, 4):
        sys.exit(f"stress compare ended with {said.returncode}: {said.stderr}")
    return json.loads(said.stdout)


def is_found(comparison):
    uploads = [mean for mean in comparison["means"] if mean["operation"] == "upload"]
    return any(mean["is_more_than_chance"] and mean["change"] > 0 for mean in uploads)


def campaign(options):
    python = shlex.join([sys.executable, os.path.abspath(__file__)])
    slow = [f"{name}={python} --serve {factor} --port {{port}} --workers {{workers}} --root {{root}}" for name, factor in (("python", 1.0), ("slow", 1.3))]
    subjects = ["ours=ours", "same=ours", *slow]
    alarms = found = 0
    started = time.monotonic()
    for number in range(1, options.runs + 1):
        with tempfile.TemporaryDirectory(dir=options.dir) as out:
            words = [word for subject in subjects for word in ("--subject", subject)]
            words += [*ROWS.split(), "--seed", str(number), "--progress", "none", "--out", out, "--work-dir", out]
            run = subprocess.run([options.stress, *words], capture_output=True, text=True, timeout=RUN_LIMIT_S)
            if run.returncode != 0:
                sys.exit(f"run {number} ended with {run.returncode}: {run.stderr}\n{run.stdout}")
            equal = compared(options.stress, out, ["ours", "same"])
            slower = compared(options.stress, out, ["python", "slow"])
        alarms += equal["is_worse"]
        found += is_found(slower)
        factors = [1 + mean["change"] for mean in slower["means"] if mean["operation"] == "upload"]
        print(f"run {number}: alarms {alarms}, found {found} (uploads {factors[0]:.2f} times as long), {time.monotonic() - started:.0f} s", flush=True)
    print(f"{alarms} alarms and {found} found in {options.runs} runs; at most {ALARMS_MAX_OF_20} and at least {FOUND_MIN_OF_20} of 20 may be")
    return int(alarms * 20 > ALARMS_MAX_OF_20 * options.runs or found * 20 < FOUND_MIN_OF_20 * options.runs)


def main():
    parser = argparse.ArgumentParser(description="How often equal servers are taken for different, and a slower one is found.")
    parser.add_argument("--stress", default="target/release/stress", help="the program")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--dir", default=".", help="where runs are made, and removed: on a disk")
    parser.add_argument("--serve", type=float, metavar="FACTOR", help="be the Python server, whose uploads take FACTOR times as long")
    parser.add_argument("--port", type=int)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--root")
    options = parser.parse_args()
    return campaign(options) if options.serve is None else serve(options)


if __name__ == "__main__":
    sys.exit(main())
