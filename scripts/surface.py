#!/usr/bin/env python3
"""Writes down everything that a user or a program can hold on to: flags, settings, exit codes, what a server announces,
its replies, status and metrics, what wrong command lines are told, the files and columns of a run, and all that is made
from one kept run. The files in surface/ are the result; a difference is to be read and kept on purpose.

    scripts/surface.py            compare with surface/ (exit 1 if there is a difference)
    scripts/surface.py --write    take over what is now so

It runs the debug programs, which `cargo test` or `cargo build --workspace` has built.
"""

import difflib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile

TOP = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", TOP / "target")) / "debug"
KEPT = TOP / "results" / "20261124T192330Z-kept-all81"
PROGRAMS = ("prefork-server", "prefork-client", "stress")
# Nothing of the machine: no settings of the user, no language, no colour.
ENV = {"PATH": os.environ["PATH"], "LC_ALL": "C", "NO_COLOR": "1"}
LIMIT = 20


def run(command, cwd):
    """What a program says and how it ends."""
    arguments = [str(BIN / command[0]), *map(str, command[1:])]
    done = subprocess.run(arguments, cwd=cwd, env=ENV, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def said(command, cwd):
    code, out, err = run(command, cwd)
    assert code == 0, (command, code, err)
    return out


def subcommands(help_text):
    """The commands that a help names, but for `help` itself."""
    section = re.search(r"^Commands[^\n]*:\n((?:  .*\n|\n)+)", help_text, re.M)
    found = re.findall(r"^  ([a-z]+) ", section.group(1), re.M) if section else []
    return [it for it in found if it != "help"]


def help_of(program, cwd):
    """All helps, and what the manual says besides: exit codes, files, examples."""
    texts = [("", said([program, "--help"], cwd))]
    texts += [(name, said([program, name, "--help"], cwd)) for name in subcommands(texts[0][1])]
    parts = [f"==== {program} {name}".rstrip() + f"\n\n{text}" for name, text in texts]
    manual = said([program, "man"], cwd)
    sections = re.split(r"^\.SH ", manual, flags=re.M)
    status = [it for it in sections if it.strip('"').startswith("EXIT")]
    return "\n".join(parts + [f"==== {program} man: {it}" for it in status])


def shape(value, at=""):
    """The keys of a JSON value with the kinds of their values; of a list, those of all its members together."""
    if isinstance(value, dict):
        lines = []
        for key, inner in value.items():
            lines += shape(inner, f"{at}.{key}")
        return lines or [f"{at}: an object without keys"]
    if isinstance(value, list):
        lines = [line for inner in value for line in shape(inner, f"{at}[]")]
        return list(dict.fromkeys(lines)) or [f"{at}: an empty list"]
    kinds = {bool: "true or false", int: "number", float: "number", str: "text", type(None): "null"}
    return [f"{at}: {kinds[type(value)]}"]


def exchange(address, request):
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=LIMIT) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        reply = b""
        while piece := connection.recv(65536):
            reply += piece
    return reply.decode()


def ask(path, what):
    """The body of an answer of the admin socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(LIMIT)
        connection.connect(str(path))
        connection.sendall(f"GET {what} HTTP/1.0\r\n\r\n".encode())
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    return answer.decode().split("\r\n\r\n", 1)[1]


REQUESTS = [
    b"LIST\r\n", b"GET a.txt\r\n", b"download \"a.txt\"\r\n\r\n", b"GET none\r\n", b"GET ../a\r\n", b"GET .a\r\n", b"GET\r\n",
    b"UPLOAD b QUJD\r\n", b"ADD b\r\nQUJD\r\n", b"PUT b b'QUJD'\r\n", b"UPLOAD c QUJ\r\n", b"UPLOAD c\r\n\r\n",
    b"UPLOAD c||QUJD\r\n", b"UPLOAD a/b QUJD\r\n", b"HAPUS b\r\n", b"DELETE b\r\n", b"LIST a\r\n", b"HELLO\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"LIST\rGET a\r\n", b"GET " + b"a" * 2000 + b"\r\n", b"{\"a\":1}\r\n", b"\0\0\0\4LIST",
    b"LIST\r\nLIST\r\n",
]


def running(folder):
    """A running server: what it announces, answers, reports, and says at its end."""
    root = folder / "root"
    root.mkdir()
    (root / "a.txt").write_bytes(b"hello")
    command = [BIN / "prefork-server", "--bind", "127.0.0.1:0", "--root", root, "--workers", "2", "--exit-with-stdin",
               "--admin", folder / "admin", "--log-level", "error", "--min-free", "0"]
    server = subprocess.Popen(command, cwd=folder, env=ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        first = server.stdout.readline()
        assert first, server.stderr.read()
        ready = json.loads(first)
        text = ["==== READY", *shape(ready)]
        for request in REQUESTS:
            shown = request if len(request) < 200 else request[:20] + b"..."
            text += [f"==== {shown!r}", exchange(ready["address"], request)]
        status = json.loads(said(["prefork-server", "status", folder / "admin", "--json"], folder))
        text += ["==== status --json", *shape(status)]
        metrics = ask(folder / "admin", "/metrics")
        text += ["==== metrics", *[line for line in metrics.splitlines() if line.startswith("#")]]
        series = re.findall(r"^([a-z_]+(?:\{[^}]*\})?) ", metrics, re.M)
        text += ["==== series", *dict.fromkeys(re.sub(r'worker="\d+"', 'worker="N"', it) for it in series)]
        out, _ = server.communicate(timeout=LIMIT)
        text += ["==== DONE", *shape(json.loads(out))]
    finally:
        server.kill()
        server.wait()
    return "\n".join(text).replace("\r", "\\r")


def settings(_):
    example = (TOP / "docs" / "examples" / "server.toml").read_text()
    keys = re.findall(r"^#?(\[?[a-z-]+(?: = .*|\]))$", example, re.M)
    return "\n".join(keys)


WRONG = """
prefork-server --bind nowhere
prefork-server --bind 127.0.0.1
prefork-server --bind 127.0.0.1:99999
prefork-server --workers 0
prefork-server --workers fuor
prefork-server --wrokers 5
prefork-server --pool fiber
prefork-server --durability most
prefork-server --root /nonexistent/files
prefork-server --root file
prefork-server --receive-buffer 4G
prefork-server --idle-timeout 5
prefork-server --idle-timeout 99999999h
prefork-server --idle-timeout -1s
prefork-server --max-upload 1.5X
prefork-server --user nobody-of-that-name
prefork-server --config missing.toml
prefork-server --config misspelt.toml --check-config
prefork-server --config wrong.toml --check-config
prefork-server --log-level loud
prefork-server --congestion fastest
prefork-server --allow-root --bind 127.0.0.1:0 --admin /nonexistent/admin
prefork-server --allow-root --bind 127.0.0.1:0 --pidfile /nonexistent/pid
prefork-server --allow-root --bind 127.0.0.1:0 --access-log /nonexistent/log
prefork-server --accept-unterminated fast
prefork-server status
prefork-server status missing
prefork-server status file
prefork-server serve
prefork-server completions tcsh
prefork-client
prefork-client list --server nowhere.invalid
prefork-client list --server 127.0.0.1:1
prefork-client list --server 127.0.0.1:port
prefork-client get --server 127.0.0.1:1
prefork-client get ../a --server 127.0.0.1:1
prefork-client upload missing --server 127.0.0.1:1
prefork-client upload . --server 127.0.0.1:1
prefork-client delete --server 127.0.0.1:1
prefork-client delete .hidden --server 127.0.0.1:1
prefork-client list --terminator cr
prefork-client list --timeout 5
prefork-client put a
stress --op rename
stress --size 10MBB
stress --size ten
stress --size 0
stress --clients 0
stress --servers many
stress --plan grand
stress --repeats 0
stress --fault fire
stress --fail-on fast
stress --fail-on speed>1
stress --server-cmd ''
stress --target 127.0.0.1:1 --size 1M --clients 1
stress --server-pool fiber
stress --out file
stress show missing
stress verify missing
stress compare missing
stress explain missing 1
stress report missing
stress report --lang fr
stress hostile --only nonsense
stress soak --time 5
stress completions tcsh
stress mesure
"""


def wrong(folder):
    """Wrong command lines, what they are told, and how they end."""
    (folder / "file").write_text("no folder\n")
    (folder / "misspelt.toml").write_text("wrokers = 5\n")
    (folder / "wrong.toml").write_text('workers = "fuor"\n')
    text = []
    for line in WRONG.strip().splitlines():
        command = [word.strip("'") for word in line.split()]
        try:
            code, out, err = run(command, folder)
        except subprocess.TimeoutExpired as error:
            code, out, err = "never", "", str(error)
        text.append(f"==== {line}\nexit {code}\n{out}{err}")
    return "\n".join(text)


def cells_of(path):
    """A workbook's texts and numbers, sheet by sheet."""
    with zipfile.ZipFile(path) as book:
        strings = re.findall(r"<si>(.*?)</si>", book.read("xl/sharedStrings.xml").decode(), re.S)
        texts = ["".join(re.findall(r"<t[^>]*>(.*?)</t>", it, re.S)) for it in strings]
        lines = re.findall(r'<sheet name="([^"]*)"', book.read("xl/workbook.xml").decode())
        for name in sorted(it for it in book.namelist() if it.startswith("xl/worksheets/sheet")):
            for row in re.findall(r"<row .*?</row>", book.read(name).decode(), re.S):
                cells = re.findall(r'<c r="[A-Z]+\d+"([^>]*)>(?:<f>.*?</f>)?<v>(.*?)</v>', row)
                lines.append("\t".join(texts[int(v)] if 't="s"' in kind else v for kind, v in cells))
    return "\n".join(lines)


def kept_run(folder):
    """All that is made from one kept run, a file for each."""
    copy = folder / "results" / KEPT.name
    shutil.copytree(KEPT, copy)
    files = {
        "show.txt": said(["stress", "show", copy], folder),
        "verify.txt": said(["stress", "verify", copy], folder),
        "compare.txt": said(["stress", "compare", copy, copy], folder),
        "explain.txt": said(["stress", "explain", copy, "7"], folder),
    }
    for language in ("en", "id"):
        out = folder / language
        said(["stress", "report", copy, "--out", out, "--lang", language, "--author", "Ani Wijaya"], folder)
        for name in ("report.html", "report.md", "table.csv", "table.xlsx"):
            if (path := out / name).exists():
                is_book = name.endswith(".xlsx")
                files[f"{language}/{name}" + (".txt" if is_book else "")] = cells_of(path) if is_book else path.read_text()
    return files


def fresh_run(folder):
    """The files of a new run, and what can be held on to in them."""
    small = ["--op", "upload", "--size", "1M", "--clients", "1", "--servers", "1"]
    code, _, err = run(["stress", *small, "--out", folder / "out", "--label", "surface", "--progress", "none"], folder)
    assert code == 0, err
    path = next(it for it in (folder / "out").iterdir() if it.name.endswith("-surface"))
    text = ["==== files", *sorted(it.name for it in path.iterdir())]
    for name in sorted(it.name for it in path.glob("*.csv")):
        text += [f"==== {name}", *(path / name).read_text().splitlines()[0].split(",")]
    text += ["==== run.json", *shape(json.loads((path / "run.json").read_text()))]
    for line in (path / "journal.ndjson").read_text().splitlines():
        text += ["==== journal.ndjson", *shape(json.loads(line))]
    return "\n".join(dict.fromkeys(text))


def surface():
    """All files: their names in surface/, and what belongs into them."""
    files = {}
    for name, make in (("settings", settings), ("running", running), ("wrong", wrong), ("run", fresh_run)):
        with tempfile.TemporaryDirectory() as folder:
            text = make(pathlib.Path(folder))
            # What the kernel grants is the machine's.
            text = re.sub(r"one of: .*", "one of: NAMES", text)
            text = re.sub(r"127\.0\.0\.1:\d{5}", "127.0.0.1:PORT", text)
            files[f"{name}.txt"] = text.replace(folder, "FOLDER")
    with tempfile.TemporaryDirectory() as folder:
        for program in PROGRAMS:
            files[f"{program}.help.txt"] = help_of(program, folder)
        for name, text in kept_run(pathlib.Path(folder)).items():
            files[f"kept/{name}"] = text.replace(folder, "FOLDER")
    return {name: text.rstrip("\n") + "\n" for name, text in files.items()}


def main():
    folder = TOP / "surface"
    files = surface()
    if sys.argv[1:] == ["--write"]:
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        return 0
    kept = {str(it.relative_to(folder)): it.read_text() for it in folder.rglob("*") if it.is_file()}
    differences = 0
    for name in sorted(files.keys() | kept.keys()):
        before, now = kept.get(name, ""), files.get(name, "")
        if before != now:
            differences += 1
            sys.stdout.writelines(difflib.unified_diff(before.splitlines(True), now.splitlines(True), f"surface/{name}", f"now/{name}", n=1))
    print(f"surface: {len(files)} files, {differences} differ" + (": look, then scripts/surface.py --write" if differences else ""))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
