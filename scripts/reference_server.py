#!/usr/bin/env python3
"""A small file server in the way the course's Python servers are written, to test and measure against.

It speaks the wire protocol from its description: one request line, one JSON object, then CRLF CRLF. It is a
yardstick and a counterpart for tests, not something to expose: like the programs it stands for it keeps whole
requests, whole files and whole replies in memory (about four times the file at the peak), sets no limits and
no deadlines, decodes base64 leniently, and a file being uploaded is visible before it is complete.

It differs from them where a test needs to rely on it: a request cut off by end of input is not executed, the end of a
request is searched for only in what has newly arrived, and no signal or crash leaves a process behind.

    python3 reference_server.py --port 0 --workers 5 --root files --pool process

Standard library only, Python 3.8 or newer, Unix.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, Optional, Set, Tuple

READ_BYTES = 1 << 20
# More than the largest client pool (50), so that a burst of connects waits instead of being refused.
LISTEN_BACKLOG = 1024
# How long a peer may take to close after we have stopped sending.
DRAIN_S = 1.0
# How long after a stop a reply may still be on its way before the process ends regardless.
STOP_GRACE_S = 2.0
# In the dialect without a terminator, this much silence ends a request.
SILENCE_S = 0.05
TERMINATOR_MODES = ("any", "crlfcrlf", "crlf", "lf", "none", "recv")
UPLOADS = ("UPLOAD", "POST", "PUT", "ADD")
DELETES = ("DELETE", "HAPUS")
VERBS = ("LIST", "GET", "DOWNLOAD", *UPLOADS, *DELETES)
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

Reply = Dict[str, Any]


def main() -> int:
    options = parse_arguments()
    os.makedirs(options.root, exist_ok=True)
    try:
        listener = listen(options.host, options.port)
    except OSError as error:
        print(f"cannot listen on {options.host}:{options.port}: {error}", file=sys.stderr)
        return 1
    server = Server(Files(options.root), options.terminator_mode, options.once_per_connection)
    run = serve_with_threads if options.pool == "thread" else serve_with_processes
    return run(server, listener, options.workers)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A small reference file server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port and prints it")
    parser.add_argument("--workers", type=positive, default=5)
    parser.add_argument("--root", default="files", help="the folder to serve, created when missing")
    parser.add_argument("--pool", choices=("thread", "process"), default="thread")
    parser.add_argument(
        "--terminator-mode",
        choices=TERMINATOR_MODES,
        default="any",
        help="what ends a request: any line end; only CRLF CRLF; each CRLF, or each LF, of which a CR is no part; any line "
        "end or, without a body, 50 ms of silence; or nothing: each recv brings one",
    )
    parser.add_argument("--once-per-connection", action="store_true", help="close after one reply")
    return parser.parse_args()


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(LISTEN_BACKLOG)
    return listener


def announce(listener: socket.socket) -> None:
    host, port = listener.getsockname()
    print(f"listening on {host}:{port}", flush=True)


# Pools


def serve_with_threads(server: Server, listener: socket.socket, workers: int) -> int:
    """One thread accepts, `workers` threads of an executor serve; connections beyond that wait in its queue."""

    def leave_the_accept_loop(_signal: int, _frame: object) -> None:
        raise SystemExit(0)

    for number in STOP_SIGNALS:
        signal.signal(number, leave_the_accept_loop)
    executor = ThreadPoolExecutor(max_workers=workers)
    try:
        announce(listener)
        while True:
            connection, _peer = listener.accept()
            executor.submit(server.serve, connection)
    except SystemExit:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
    listener.close()
    exit_after_grace()
    server.stop()
    executor.shutdown(wait=True)
    return 0


def serve_with_processes(server: Server, listener: socket.socket, workers: int) -> int:
    """`workers` forked processes accept on the one listening socket.

    They watch a pipe whose only writing end the parent holds: it closes when the parent is told to stop and also
    when the parent is killed, so no worker outlives it.
    """
    watched, held = os.pipe()
    # Signals wait until parent and child each have their own disposition.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    children: Set[int] = set()
    for _ in range(workers):
        pid = os.fork()
        if pid == 0:
            os.close(held)
            run_worker_process(server, listener, watched)
        children.add(pid)
    os.close(watched)

    def tell_the_workers(_signal: int, _frame: object) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        os.close(held)

    for number in STOP_SIGNALS:
        signal.signal(number, tell_the_workers)
    announce(listener)
    listener.close()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    failed = 0
    while children:
        pid, status = os.wait()
        children.discard(pid)
        if status != 0:
            failed += 1
            print(f"worker {pid} ended with wait status {status}", file=sys.stderr)
    return 1 if failed else 0


def run_worker_process(server: Server, listener: socket.socket, watched: int) -> None:
    """The whole life of a forked worker; it never returns into the parent's code."""
    try:
        # A signal to the whole group must not cut off a reply: the parent gets it too and closes the pipe.
        for number in STOP_SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

        def leave_with_the_parent() -> None:
            os.read(watched, 1)
            exit_after_grace()
            if server.stop() == 0:
                os._exit(0)

        threading.Thread(target=leave_with_the_parent, daemon=True).start()
        while not server.stopping:
            connection, _peer = listener.accept()
            server.serve(connection)
        os._exit(0)
    except BaseException as error:  # Nothing may unwind into the parent's stack.
        print(f"worker {os.getpid()}: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)


def exit_after_grace() -> None:
    """Ends this process in a while even if a peer never reads its reply."""
    timer = threading.Timer(STOP_GRACE_S, os._exit, args=(0,))
    timer.daemon = True
    timer.start()


# Connections


class Server:
    """What every worker does with a connection, whichever pool it belongs to."""

    def __init__(self, files: Files, terminator_mode: str, once_per_connection: bool) -> None:
        self.stopping = False
        self._files = files
        self._terminator_mode = terminator_mode
        self._once_per_connection = once_per_connection
        self._open: Set[socket.socket] = set()
        self._lock = threading.Lock()

    def serve(self, connection: socket.socket) -> None:
        """Answers requests in order until either side is done, then closes."""
        with self._lock:
            if not self.stopping:
                self._open.add(connection)
        try:
            if not self.stopping:
                self._answer_requests(connection)
        except OSError:
            pass  # The peer is gone; nobody is left to tell.
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def stop(self) -> int:
        """Lets replies under way finish and ends everything else; returns how many connections are open."""
        with self._lock:
            self.stopping = True
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RD)
                except OSError:
                    pass  # It has just been closed by its peer.
            return len(self._open)

    def _answer_requests(self, connection: socket.socket) -> None:
        requests = RequestReader(connection, self._terminator_mode)
        while True:
            request = requests.next()
            if request is None:
                return
            reply = json.dumps(answer(self._files, request, requests.next_line)) + "\r\n\r\n"
            del request  # Up to a third more than the file; not needed while sending.
            connection.sendall(reply.encode())
            if self.stopping or self._once_per_connection:
                return close_gently(connection)


def close_gently(connection: socket.socket) -> None:
    """Closing with input unread would reset the connection and take the reply with it: read what comes, for a while."""
    connection.shutdown(socket.SHUT_WR)
    deadline = time.monotonic() + DRAIN_S
    while True:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return
        connection.settimeout(left_s)
        if not connection.recv(READ_BYTES):
            return


class RequestReader:
    """Cuts the bytes of one connection into requests, without their terminators."""

    def __init__(self, connection: socket.socket, terminator_mode: str) -> None:
        self._connection = connection
        # A line ends at LF; the CR before it, and the empty line that CRLF CRLF leaves, are dropped.
        self._terminator = {"crlfcrlf": b"\r\n\r\n", "crlf": b"\r\n"}.get(terminator_mode, b"\n")
        # The strict ones take what they get: an empty line is a request, and a CR before a mere LF is part of one.
        self._is_strict = terminator_mode in ("crlf", "lf", "recv")
        self._is_piece = terminator_mode == "recv"
        self._is_block = terminator_mode in ("crlfcrlf", "recv")
        self._silence_ends = terminator_mode == "none"
        self._pending = bytearray()
        self._searched = 0

    def next(self) -> Optional[bytearray]:
        """The next request, or None when the input ended; a request cut off by that end is dropped."""
        if self._is_piece:
            return bytearray(self._connection.recv(READ_BYTES)) or None
        while True:
            if not self._is_strict:
                self._drop_empty_lines()
            # Only new bytes are searched: an upload of 100 MB arrives in thousands of pieces.
            start = max(0, self._searched - len(self._terminator) + 1)
            end = self._pending.find(self._terminator, start)
            if end >= 0:
                return self._take(end, end + len(self._terminator))
            self._searched = len(self._pending)
            if self._silence_ends and self._may_end_here() and self._is_silent():
                return self._take(len(self._pending), len(self._pending))
            chunk = self._connection.recv(READ_BYTES)
            if not chunk:
                return None
            self._pending += chunk

    def next_line(self) -> bytearray:
        """The body of an upload on the line after its name; empty if there is none, and a request comes instead."""
        if self._is_block:
            return bytearray()
        while b"\n" not in self._pending:
            chunk = self._connection.recv(READ_BYTES)
            if not chunk:
                raise RequestError("the content is missing: the input has ended")
            self._pending += chunk
        end = self._pending.find(b"\n")
        words = self._pending[:end].split(None, 1)
        if not words or words[0].upper() in [verb.encode() for verb in VERBS]:
            return bytearray()
        line = self._take(end, end + 1)
        return line[:-1] if line.endswith(b"\r") else line

    def _drop_empty_lines(self) -> None:
        if self._pending.startswith((b"\r", b"\n")):
            self._pending = self._pending.lstrip(b"\r\n")
            self._searched = 0

    def _take(self, end: int, after: int) -> bytearray:
        """Hands over the buffer itself, cut at `end`, and starts a new one with the rest: no copy of a large body."""
        request, self._pending = self._pending, self._pending[after:]
        self._searched = 0
        del request[end:]
        if request.endswith(b"\r") and not self._is_strict:
            del request[-1:]
        return request

    def _may_end_here(self) -> bool:
        """Silence never ends an upload: its body may have been cut off."""
        start = bytes(self._pending[:6]).upper()
        return len(start) > 0 and not any(verb.encode().startswith(start.split(b" ")[0]) for verb in UPLOADS)

    def _is_silent(self) -> bool:
        self._connection.settimeout(SILENCE_S)
        try:
            self._connection.recv(1, socket.MSG_PEEK)
            return False
        except socket.timeout:
            return True
        finally:
            self._connection.settimeout(None)


# Requests


class RequestError(Exception):
    """A request that is answered with an error; the text is for a person."""


def answer(files: Files, request: bytearray, next_line: Callable[[], bytearray]) -> Reply:
    """Executes one request; whatever goes wrong becomes an ERROR reply."""
    try:
        verb, name, body = split_request(request)
        if verb == "LIST":
            return files.list()
        if verb in ("GET", "DOWNLOAD"):
            return files.get(name)
        if verb in UPLOADS:
            return files.upload(name, plain(next_line() or None if body is None else body))
        if verb in DELETES:
            return files.delete(name)
        raise RequestError("request tidak dikenali")
    except RequestError as error:
        return failure(str(error))
    except FileNotFoundError:
        return failure("no such file")
    except OSError as error:
        return failure(error.strerror or "the file system failed")
    except Exception as error:  # A worker outlives any request, whatever is in it.
        return failure(f"cannot be executed: {error}")


def failure(text: str) -> Reply:
    return {"status": "ERROR", "data": text}


def split_request(request: bytearray) -> Tuple[str, str, Optional[bytearray]]:
    """Verb in upper case, name, and the body if a space follows the name. Consumes `request`: it becomes the body."""
    line_end = request.find(b"\n")
    if 0 < line_end and request[line_end + 1 : line_end + 2] not in (b"", b"\r", b"\n"):
        # The body on the next line, where both are one request.
        has_return = request[line_end - 1 : line_end] == b"\r"
        request[line_end - has_return : line_end + 1] = b" "
    verb = take_word(request)
    del request[:1]
    name = take_quoted(request) if request.startswith(b'"') else take_word(request)
    has_body = request.startswith(b" ")
    del request[:1]
    try:
        return verb.decode().upper(), name.decode(), request if has_body else None
    except UnicodeDecodeError:
        raise RequestError("the request's verb and name must be UTF-8") from None


def plain(body: Optional[bytearray]) -> Optional[bytearray]:
    """The base64 itself, where the client has sent how Python shows it: b'...'"""
    if body is not None and len(body) > 2 and body.startswith(b"b'") and body.endswith(b"'"):
        return body[2:-1]
    return body


def take_word(request: bytearray) -> bytes:
    """Removes and returns what stands before the next space."""
    end = request.find(b" ")
    if end < 0:
        end = len(request)
    word = bytes(request[:end])
    del request[:end]
    return word


def take_quoted(request: bytearray) -> bytes:
    """Removes and returns a name in double quotes, in which a backslash takes the next byte as it is."""
    name = bytearray()
    position = 1
    while position < len(request):
        byte = request[position : position + 1]
        position += 1
        if byte == b'"':
            del request[:position]
            return bytes(name)
        if byte == b"\\":
            byte = request[position : position + 1]
            position += 1
        name += byte
    raise RequestError("the name's closing quote is missing")


class Files:
    """The served folder. Only the last component of a name is used, so nothing outside the folder is reached."""

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)

    def list(self) -> Reply:
        with os.scandir(self._root) as entries:
            names = [entry.name for entry in entries if entry.is_file() and not entry.name.startswith(".")]
        return {"status": "OK", "data": sorted(names)}

    def get(self, name: str) -> Reply:
        name, path = self._locate(name)
        with open(path, "rb") as file:
            content = base64.b64encode(file.read()).decode()
        return {"status": "OK", "data_namafile": name, "data_file": content}

    def upload(self, name: str, body: Optional[bytearray]) -> Reply:
        name, path = self._locate(name)
        if body is None:
            raise RequestError("an upload needs its content after the name and a space, or on the next line")
        try:
            content = base64.b64decode(body)
        except ValueError as error:
            raise RequestError(f"the content is not base64: {error}") from None
        with open(path, "wb") as file:
            file.write(content)
        return {"status": "OK", "data": f"{name} has been uploaded"}

    def delete(self, name: str) -> Reply:
        name, path = self._locate(name)
        os.remove(path)
        return {"status": "OK", "message": f"{name} has been deleted"}

    def _locate(self, name: str) -> Tuple[str, str]:
        base = os.path.basename(name.replace("\\", "/"))
        if not base or base.startswith(".") or "\0" in base:
            raise RequestError("not a file name")
        return base, os.path.join(self._root, base)


if __name__ == "__main__":
    sys.exit(main())
