#!/usr/bin/env python3
"""A client in the way the course's Python clients are written, one for each dialect of ending a request.

It sends command and terminator in one `sendall`, reads until CRLF CRLF ends the reply, and gives it all to
`json.loads`; files and replies are held in memory whole. Stricter than its models where a test wants to know: the
base64 must be clean, nothing may follow the reply's end, and `size` and `crc32` must fit where the server sends them.

    python3 reference_client.py --port 8889 --terminator crlfcrlf get notes.pdf -o copy.pdf

One line per request goes to standard output, starting with the reply's status; a list is followed by its names.
Exit code 0 when every request succeeded, 1 when one did not, 2 for wrong usage.

Standard library only, Python 3.8 or newer.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import socket
import sys
import zlib
from typing import Any, Dict, Optional

READ_BYTES = 1 << 20
REPLY_END = b"\r\n\r\n"
# How published clients write an upload's body: after the name or on the next line, plain or as Python shows bytes;
# and wrapped, as `base64` without -w0 writes it, which no server can take.
BODIES = {
    "same": lambda content: b" " + base64.b64encode(content),
    "next": lambda content: b"\r\n" + base64.b64encode(content),
    "repr": lambda content: b" " + repr(base64.b64encode(content)).encode(),
    "next-repr": lambda content: b"\r\n" + repr(base64.b64encode(content)).encode(),
    "wrapped": lambda content: b" " + base64.encodebytes(content).rstrip(),
}
TERMINATORS = {"crlf": b"\r\n", "crlfcrlf": b"\r\n\r\n", "lf": b"\n", "none": b""}

Reply = Dict[str, Any]


class BadReply(Exception):
    """The reply is missing, cut off, or not what the request asks for."""


def main() -> int:
    options = parse_arguments()
    connection: Optional[socket.socket] = None
    succeeded = 0
    try:
        request = build_request(options)
        for _ in range(options.count):
            if connection is None:
                connection = socket.create_connection((options.host, options.port), options.timeout)
            connection.sendall(request)
            if finish(options, read_reply(connection)):
                succeeded += 1
            if options.reconnect:
                connection.close()
                connection = None
    except (OSError, ValueError, BadReply) as error:
        # Not the start of a status line: the server has said nothing that could be shown as its status.
        print(f"failed: {error or type(error).__name__}", file=sys.stderr)
    finally:
        if connection is not None:
            connection.close()
    return 0 if succeeded == options.count else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A small reference client.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--terminator", choices=sorted(TERMINATORS), default="crlfcrlf")
    parser.add_argument("--count", type=int, default=1, help="repeat the request, over one connection")
    parser.add_argument("--reconnect", action="store_true", help="a new connection for each repetition")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds without progress before giving up")
    parser.add_argument("--verb", help="another word for the command, such as DOWNLOAD, POST, PUT, ADD or HAPUS")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    get = commands.add_parser("get")
    get.add_argument("name")
    get.add_argument("-o", "--output", help="where to write; the name in the current folder by default")
    upload = commands.add_parser("upload")
    upload.add_argument("file")
    upload.add_argument("--as", dest="name", help="the name on the server; the file's own by default")
    upload.add_argument("--body", choices=sorted(BODIES), default="same", help="how the content is written")
    delete = commands.add_parser("delete")
    delete.add_argument("name")
    return parser.parse_args()


def build_request(options: argparse.Namespace) -> bytes:
    """The command and its terminator, ready for one `sendall`."""
    terminator = TERMINATORS[options.terminator]
    verb = (options.verb or options.command.upper()).encode()
    if options.command == "list":
        return verb + terminator
    if options.command == "upload":
        with open(options.file, "rb") as file:
            content = file.read()
        options.size, options.crc32 = len(content), crc32(content)
        name = options.name or os.path.basename(options.file)
        return verb + b" " + on_the_wire(name) + BODIES[options.body](content) + terminator
    return verb + b" " + on_the_wire(options.name) + terminator


def on_the_wire(name: str) -> bytes:
    """The name as it is, or in double quotes where a space or a quote would end it early."""
    if " " in name or name.startswith('"'):
        name = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return name.encode()


def read_reply(connection: socket.socket) -> Reply:
    """Reads up to CRLF CRLF, looking for it only where bytes have newly arrived."""
    received = bytearray()
    while True:
        start = max(0, len(received) - len(REPLY_END) + 1)
        chunk = connection.recv(READ_BYTES)
        if not chunk:
            raise BadReply(f"the connection was closed after {len(received)} bytes of a reply")
        received += chunk
        end = received.find(REPLY_END, start)
        if end >= 0:
            break
    excess = len(received) - end - len(REPLY_END)
    if excess:
        raise BadReply(f"{excess} bytes came after the end of the reply")
    reply = json.loads(received)
    if not isinstance(reply, dict):
        raise BadReply("the reply is not a JSON object")
    return reply


def finish(options: argparse.Namespace, reply: Reply) -> bool:
    """Prints the status, keeps what was downloaded, and says whether the request succeeded."""
    if reply.get("status") != "OK":
        code = f" ({reply['code']})" if "code" in reply else ""
        print(f"{reply.get('status')}{code} {reply.get('data', reply.get('message'))}")
        return False
    if options.command == "list":
        names = reply["data"] if isinstance(reply.get("data"), list) else None
        if names is None:
            raise BadReply("the reply has no list of names")
        print("\n".join([f"OK {len(names)} files", *names]))
    elif options.command == "get":
        content = decode(reply)
        check(reply, len(content), crc32(content))
        with open(options.output or os.path.basename(options.name), "wb") as file:
            file.write(content)
        print(f"OK {options.name} {len(content)} bytes")
    elif options.command == "upload":
        check(reply, options.size, options.crc32)
        print(f"OK {reply.get('data', reply.get('message'))}")
    else:
        print(f"OK {reply.get('message', reply.get('data'))}")
    return True


def decode(reply: Reply) -> bytes:
    if not isinstance(reply.get("data_file"), str):
        raise BadReply("the reply has no data_file")
    return base64.b64decode(reply["data_file"], validate=True)


def check(reply: Reply, size: int, checksum: str) -> None:
    """Compares with what the server says of the content, if it says anything."""
    for key, ours in (("size", size), ("crc32", checksum)):
        if key in reply and reply[key] != ours:
            raise BadReply(f"{key} is {ours!r} here and {reply[key]!r} in the reply")


def crc32(content: bytes) -> str:
    return f"{zlib.crc32(content):08x}"


if __name__ == "__main__":
    sys.exit(main())
