#!/usr/bin/env python3
"""Holds what the programs write as JSON to docs/schemas.

    scripts/schemas.py                  small runs of all programs: all that they write is as its schema says, and what is
                                        wrong in any place is refused (exit 1 if not)
    scripts/schemas.py NAME FILE...     is each FILE (.json; each line of .ndjson or .log; packed or not) as docs/schemas/NAME.json says?

It needs Python's jsonschema (Debian: python3-jsonschema); the first form runs the debug programs, which `cargo test` or `cargo
build --workspace` has built.
"""

import copy
import gzip
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    sys.exit("schemas: Python's jsonschema is missing: apt-get install python3-jsonschema")

import surface

SCHEMAS = surface.TOP / "docs" / "schemas"
SMALL = ["--size", "64K", "--clients", "1", "--servers", "1"]
# Servers started as root want to be told that this is meant.
AS_ROOT = ["--allow-root"]


def validator(name):
    schema = json.loads((SCHEMAS / f"{name}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def wrong(checker, value):
    """What is wrong with a value, and where; nothing if it is as it should be."""
    error = jsonschema.exceptions.best_match(checker.iter_errors(value))
    return error and f"{error.json_path}: {error.message[:300]}"


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def documents(path):
    """The JSON values in a file."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        data, path = gzip.decompress(data), path.with_suffix("")
    return lines(data.decode()) if path.suffix in (".ndjson", ".log") else [json.loads(data)]


def output(command, folder, codes=(0,)):
    code, out, err = surface.run(command, folder)
    assert code in codes, (command, code, err)
    return lines(out)


def of_a_server(folder):
    """What a server and its clients write."""
    (folder / "root").mkdir()
    (folder / "root" / "a.txt").write_bytes(b"hello")
    command = [surface.BIN / "prefork-server", "--bind", "127.0.0.1:0", "--root", folder / "root", "--workers", "2", *AS_ROOT,
               "--exit-with-stdin", "--admin", folder / "admin", "--access-log", folder / "access.log", "--min-free", "0"]
    server = subprocess.Popen(command, cwd=folder, env=surface.ENV, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    try:
        ready = json.loads(server.stdout.readline())
        yield "ready", [ready]
        for request in surface.REQUESTS:
            surface.exchange(ready["address"], request)
        client = ["prefork-client", "--server", ready["address"], "--json"]
        yield "client-list", output([*client, "list"], folder)
        yield "client-list", output([*client[:2], "127.0.0.1:1", "--json", "list"], folder, range(1, 9))
        yield "client-file", output([*client, "get", "a.txt"], folder)
        yield "client-file", output([*client, "upload", "a.txt"], folder)
        yield "client-file", output([*client, "delete", "a.txt"], folder)
        yield "client-file", output([*client, "get", "none", "nothing"], folder, range(1, 9))
        yield "status", output(["prefork-server", "status", folder / "admin", "--json"], folder)
        out, _ = server.communicate(timeout=surface.LIMIT)
        yield "done", lines(out.decode())
    finally:
        server.kill()
        server.wait()
    yield "access-log", documents(folder / "access.log")
    yield "self-test", output(["prefork-server", "--self-test", "--json", "--root", folder / "root", *AS_ROOT], folder, (0, 1))


def of_a_run(folder):
    """What a run of the harness leaves, and what its commands print of it."""
    rows = ["stress", *SMALL, "--repeat", "2", "--out", folder / "out", "--label", "one", "--progress", "none", "--json"]
    yield "rows", output([*rows, "--fault", "none,kill-worker"], folder, (0, 3))
    one = next((folder / "out").glob("*-one"))
    two = one.with_name("two")
    shutil.copytree(one, two)
    yield "journal", documents(one / "journal.ndjson")
    yield "run", documents(one / "run.json")
    yield "rows", output(["stress", "show", one, "--json"], folder)
    beside = ["--subject", "a=ours", "--subject", "b=ours:--set-aside 0"]
    yield "rows", output([*rows, *beside, "--op", "list"], folder)
    subjects = next(run for run in (folder / "out").glob("*-one*") if run != one)
    yield "journal", documents(subjects / "journal.ndjson")
    yield "run", documents(subjects / "run.json")
    yield "rank", output(["stress", "rank", subjects, one, "--json"], folder, (3,))
    yield "compare", output(["stress", "compare", subjects, "--json"], folder, (0, 4))
    yield "plan", output(["stress", *SMALL, *beside, "--dry-run", "--json"], folder)
    yield "plan", output(["stress", *SMALL, "--dry-run", "--json"], folder)
    yield "plan", output(["stress", *SMALL, "--dry-run", "--json", "--server-cmd", "a {port} {root}"], folder)
    yield "explain", output(["stress", "explain", one, "1", "--json"], folder)
    yield "verify", output(["stress", "verify", one, two, "--json"], folder, (3,))
    yield "compare", output(["stress", "compare", one, two, "--json"], folder)
    yield "recheck", output(["stress", "recheck", one, "--sample", "2", "--repeat", "1", "--out", folder / "out",
                             "--progress", "none", "--json"], folder, (0, 3, 4))
    yield "baseline", output(["stress", "baseline", "--work-dir", folder, "--json"], folder)
    yield "soak", output(["stress", "soak", "--time", "300ms", "--clients", "2", "--servers", "2", "--size", "4K",
                          "--work-dir", folder, "--json"], folder)
    yield "hostile", output(["stress", "hostile", "--only", "silent", "--server-pool", "event", "--servers", "1", "--limit", "200ms",
                             "--work-dir", folder, "--json"], folder, (0, 3))


def broken(value):
    """Copies of a value, each with one thing wrong: a key too many, all keys gone, a value of another kind. Of a list the
    first member stands for all."""
    if isinstance(value, dict):
        yield "a key too many", {**value, "nonsense": 1}
        yield "no key at all", {}
        for key in value:
            for what, inner in broken(value[key]):
                yield f".{key}: {what}", {**value, key: inner}
    elif isinstance(value, list):
        yield "no list", {"nonsense": 1}
        for what, inner in broken(value[0]) if value else ():
            yield f"[0]: {what}", [inner, *value[1:]]
    else:
        yield "another kind", {"nonsense": 1}


def check(name, values, refused):
    checker = validator(name)
    assert values, f"{name}: nothing was written"
    for value in values:
        if what := wrong(checker, value):
            yield f"{name}: {what}"
        # Each kind once: a journal has several.
        kind = (name, *(value if name == "journal" else ()))
        if kind in refused:
            continue
        refused[kind] = 0
        for what, document in broken(copy.deepcopy(value)):
            refused[kind] += 1
            if checker.is_valid(document):
                yield f"{name}{what}: it is not refused"


def prove():
    found, refused, values_seen = [], {}, 0
    with tempfile.TemporaryDirectory() as top:
        for number, make in enumerate((of_a_server, of_a_run)):
            folder = pathlib.Path(top) / str(number)
            folder.mkdir()
            for name, values in make(folder):
                values_seen += len(values)
                found += check(name, values, refused)
    kept = {it.stem for it in SCHEMAS.glob("*.json")}
    found += [f"{name}: nothing that is written was held to it" for name in kept - {kind[0] for kind in refused}]
    print(*found, sep="\n", end="\n" if found else "")
    print(f"schemas: {len(kept)} files, {values_seen} documents, {sum(refused.values())} wrong ones: {len(found)} findings")
    return bool(found)


def main():
    if len(sys.argv) < 3:
        return prove()
    checker, found = validator(sys.argv[1]), False
    for path in map(pathlib.Path, sys.argv[2:]):
        for number, value in enumerate(documents(path), 1):
            if what := wrong(checker, value):
                print(f"{path}, document {number}: {what}")
                found = True
    return found


if __name__ == "__main__":
    sys.exit(main())
