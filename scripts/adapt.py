#!/usr/bin/env python3
"""Starts somebody's server with another port, number of workers and folder than those that stand in its source.

The folder that the server lies in is copied beside the folder to serve, with its own modules; in the copy the port and
the number of workers are set, and the folder that it serves becomes a link. The copy is started in the server's place, by
the same interpreter. Nothing of the original is changed. Whoever removes the folder's parent removes the copy: so does
`stress`, after each row.

    stress --server-cmd 'python3 scripts/adapt.py --port {port} --workers {workers} --root {root} ~/progjar/server.py'

What was changed goes to standard error, in one line. Where it is not clear what to change, nothing is started, and the
error names the flag that says it. Exit code 2 for that and for wrong usage; else the server's own.

Standard library only, Python 3.8 or newer.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import tempfile
from typing import Dict, List, Tuple

# Larger files are data, and are linked instead of copied.
COPIED_BYTES_MAX = 1 << 20
# More than this is no server's folder.
COPIED_FILES_MAX = 2_000
IGNORED = {".git", ".venv", "venv", "__pycache__", "node_modules", ".idea", ".vscode"}
# How sources say a port: `port=6666`, `SERVER_PORT = 6666`, `bind((HOST, 6666))`, `("0.0.0.0", 6666)`, and a default
# beside --port. The number is the second group.
PORTS = (
    re.compile(r"(port(?:\s*:\s*int)?\s*=\s*)(\d{2,5})\b", re.IGNORECASE),
    re.compile(r"(bind\(\s*\(\s*[^,()]*,\s*)(\d{2,5})\b"),
    re.compile(r"(\(\s*(?:'[\w.]*'|\"[\w.]*\")\s*,\s*)(\d{2,5})(?=\s*\))"),
    re.compile(r"(port\b.*\bdefault\s*=\s*)(\d{2,5})\b", re.IGNORECASE),
)
# And a number of workers: `max_workers=20`, `NUM_WORKERS = 20`, `processes=20`, `Pool(20)`, `ThreadPoolExecutor(20)`.
WORKERS = (
    re.compile(r"((?:workers?|processes|threads|pool_size)(?:\s*:\s*int)?\s*=\s*)(\d+)\b", re.IGNORECASE),
    re.compile(r"(Pool(?:Executor)?\(\s*)(\d+)\b"),
    re.compile(r"((?:workers?|processes|threads)\b.*\bdefault\s*=\s*)(\d+)\b", re.IGNORECASE),
)


class Unclear(Exception):
    """What to change does not follow from the source; the text names the flag that says it."""


def main() -> int:
    options = parse_arguments()
    try:
        server, folder, served = locate(options)
        copy = copy_folder(folder, served, options.root)
        adapted = os.path.join(copy, os.path.relpath(server, folder))
        print("adapted: " + "; ".join(adapt(copy, adapted, options)), file=sys.stderr, flush=True)
    except (Unclear, OSError) as error:
        print(f"adapt.py: {error}", file=sys.stderr)
        return 2
    # A server that serves the folder it is started in is started in the one to serve; its modules lie beside it.
    os.chdir(options.root if served == folder else os.path.dirname(adapted))
    os.execv(sys.executable, [sys.executable, adapted, *options.args])


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Starts a copy of a server with another port, workers and folder.")
    parser.add_argument("--port", required=True, type=int, help="the port to listen on")
    parser.add_argument("--root", required=True, help="the folder to serve")
    parser.add_argument("--workers", type=int, help="how many workers; left out, the source keeps its number")
    parser.add_argument("--files", default="files", help="the folder it serves, from where it lies; . for that itself (files)")
    parser.add_argument("--folder", help="what to copy, where that is more than the server's own folder")
    parser.add_argument("--port-was", type=int, help="the port in the source, where it cannot be told or another number is taken for it")
    parser.add_argument("--replace", nargs=2, action="append", default=[], metavar=("OLD", "NEW"), help="any other text of the sources; repeatable")
    parser.add_argument("server", help="the server's own file")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="what the server is started with")
    return parser.parse_args()


def locate(options: argparse.Namespace) -> Tuple[str, str, str]:
    """The server's file, the folder to copy, and the one in it that the server serves."""
    server = os.path.realpath(os.path.expanduser(options.server))
    if not os.path.isfile(server):
        raise Unclear(f"there is no file {server}")
    folder = os.path.realpath(os.path.expanduser(options.folder or os.path.dirname(server)))
    served = os.path.normpath(os.path.join(os.path.dirname(server), options.files))
    for flag, path in (("server", server), ("--files", served)):
        if os.path.commonpath([folder, path]) != folder:
            raise Unclear(f"{flag}: {path} does not lie in {folder}: name a folder that holds both with --folder")
    options.root = os.path.realpath(options.root)
    if not os.path.isdir(options.root):
        raise Unclear(f"--root: there is no folder {options.root}")
    return server, folder, served


def copy_folder(folder: str, served: str, root: str) -> str:
    """Copies what the server may need, but not what it serves: there the copy has a link to `root`."""
    copy = tempfile.mkdtemp(prefix="adapted-", dir=os.path.dirname(root))
    count = 0
    for path, folders, files in os.walk(folder):
        here = os.path.join(copy, os.path.relpath(path, folder))
        os.makedirs(here, exist_ok=True)
        # Neither what is served nor the folder that the copy itself lies in.
        kept = [name for name in folders if name not in IGNORED and os.path.join(path, name) != served]
        folders[:] = [name for name in kept if not f"{root}/".startswith(os.path.join(path, name, ""))]
        for name in files:
            count += 1
            if count > COPIED_FILES_MAX:
                raise Unclear(f"{folder} has more than {COPIED_FILES_MAX} files: put the server into a folder of its own")
            source = os.path.join(path, name)
            if os.path.isfile(source) and os.path.getsize(source) <= COPIED_BYTES_MAX:
                shutil.copy2(source, os.path.join(here, name))
            elif os.path.isfile(source):
                os.symlink(source, os.path.join(here, name))
    if served != folder:
        link = os.path.join(copy, os.path.relpath(served, folder))
        os.makedirs(os.path.dirname(link), exist_ok=True)
        os.symlink(root, link)
    return copy


def adapt(copy: str, server: str, options: argparse.Namespace) -> List[str]:
    """Changes the sources in the copy, and says what was changed."""
    sources = read_sources(copy)
    said = [replace(sources, old, new) for old, new in options.replace]
    said.append(set_port(sources, server, options))
    if options.workers is not None:
        said.append(set_workers(sources, server, options.workers))
    for path, text in sources.items():
        with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
            file.write(text)
    return said


def read_sources(copy: str) -> Dict[str, str]:
    sources = {}
    for path, _folders, files in os.walk(copy):
        for name in files:
            source = os.path.join(path, name)
            if name.endswith(".py") and not os.path.islink(source):
                with open(source, encoding="utf-8", errors="surrogateescape", newline="") as file:
                    sources[source] = file.read()
    return sources


def replace(sources: Dict[str, str], old: str, new: str) -> str:
    count = sum(text.count(old) for text in sources.values())
    if count == 0:
        raise Unclear(f"--replace: '{old}' stands in no source")
    for path, text in sources.items():
        sources[path] = text.replace(old, new)
    return f"'{old}' is '{new}' ({count} times)"


def set_port(sources: Dict[str, str], server: str, options: argparse.Namespace) -> str:
    if any(str(options.port) in new for _old, new in options.replace):
        return f"port {options.port}"
    if options.port_was is None:
        was = set_numbers(sources, server, PORTS, options.port)
        if not was:
            raise Unclear("no port stands in a source: say it with --port-was, or change it with --replace")
        return f"port {was} is {options.port}"
    number = re.compile(rf"\b{options.port_was}\b")
    if not any(number.search(text) for text in sources.values()):
        raise Unclear(f"--port-was: {options.port_was} stands in no source")
    for path, text in sources.items():
        sources[path] = number.sub(str(options.port), text)
    return f"port {options.port_was} is {options.port}"


def set_workers(sources: Dict[str, str], server: str, workers: int) -> str:
    was = set_numbers(sources, server, WORKERS, workers)
    if not was:
        raise Unclear("no number of workers stands in a source: leave --workers out, or change it with --replace")
    return f"workers {was} is {workers}"


def set_numbers(sources: Dict[str, str], server: str, patterns: Tuple["re.Pattern[str]", ...], number: int) -> str:
    """Sets all numbers of a kind in the server's own file, or else in its modules, and says which they were."""
    for paths in ([server], [path for path in sources if path != server]):
        was = set()
        for path in paths:
            for pattern in patterns:
                was.update(found for _before, found in pattern.findall(sources[path]))
                sources[path] = pattern.sub(rf"\g<1>{number}", sources[path])
        # A number that an earlier pattern has set is none of the source's.
        was.discard(str(number))
        if was:
            return ", ".join(sorted(was))
    return ""


if __name__ == "__main__":
    sys.exit(main())
