#!/usr/bin/env python3
"""How long a small request waits while a large file loses its last name or its last reader.

Starts our server with one worker, and lists the root over a new connection, again and again, while another client deletes
a large file, replaces one, breaks an upload off, or ends the download of a file that is deleted meanwhile. One line for
each; standard library only, and nothing but loopback. It writes SIZE bytes, several times.

    python3 scripts/removal_wait.py --server target/release/prefork-server --dir /somewhere/on/ext4 --size 4G
"""

import argparse
import base64
import json
import os
import socket
import subprocess
import tempfile
import threading
import time

from disk_wait import ask

PIECE = 3 << 20


def connect(address):
    return socket.create_connection(address, timeout=600)


def send_upload(peer, name, size):
    """Everything of an upload but its end of line."""
    piece = base64.b64encode(os.urandom(PIECE))
    peer.sendall(b"UPLOAD %s " % name)
    for _ in range(size // PIECE):
        peer.sendall(piece)


def put(path, size):
    piece = os.urandom(PIECE)
    with open(path, "wb") as file:
        for _ in range(size // PIECE):
            file.write(piece)


def delete(address, _size):
    ask(address, b"DELETE large\r\n")


def replace(address, _size):
    ask(address, b"UPLOAD large QUJD\r\n")


def prepare_break_off(address, size):
    peer = connect(address)
    send_upload(peer, b"other", size)
    return peer


def prepare_download(address, _size):
    peer = connect(address)
    peer.sendall(b"GET large\r\n")
    peer.recv(1)
    ask(address, b"DELETE large\r\n")
    return peer


def list_for_ever(address, latencies, is_over):
    while not is_over.is_set():
        asked = time.monotonic()
        ask(address, b"LIST\r\n")
        latencies.append(time.monotonic() - asked)
        time.sleep(0.002)


def free_bytes(root):
    stat = os.statvfs(root)
    return stat.f_bfree * stat.f_frsize


def measure(options, root, what):
    command = [options.server, "--bind", "127.0.0.1:0", "--root", root, "--pool", options.pool, "--workers", "1"]
    command += ["--upload-max", "64G", "--durability", options.durability, "--log-level", "error", "--exit-with-stdin"]
    child = subprocess.Popen(command + ["--allow-root"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ready = json.loads(child.stdout.readline())
    host, port = ready["address"].rsplit(":", 1)
    address = (host, int(port))
    try:
        if what != "break off":
            put(os.path.join(root, "large"), options.size)
        prepare = {"break off": prepare_break_off, "download": prepare_download}.get(what)
        peer = prepare(address, options.size) if prepare else None
        if options.settle:
            subprocess.run(["sync", "-f", root], check=True)
        latencies, is_over = [], threading.Event()
        lister = threading.Thread(target=list_for_ever, args=(address, latencies, is_over))
        lister.start()
        time.sleep(0.2)
        free_before, began = free_bytes(root), time.monotonic()
        if peer:
            peer.close()
        else:
            {"delete": delete, "replace": replace}[what](address, options.size)
        answered = time.monotonic() - began
        # Others may fill the disk meanwhile.
        while free_bytes(root) < free_before + options.size * 3 // 4 and time.monotonic() < began + 60:
            time.sleep(0.005)
        freed = time.monotonic() - began
        time.sleep(0.5)
        is_over.set()
        lister.join()
        return sorted(latencies), answered, freed
    finally:
        child.stdin.close()
        child.wait(timeout=600)


def size(text):
    return int(text[:-1]) << {"M": 20, "G": 30}[text[-1]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="target/release/prefork-server", help="our server's program")
    parser.add_argument("--pool", default="event", help="which pool, of one worker (%(default)s)")
    parser.add_argument("--size", type=size, default=4 << 30, help="bytes of the large file (4G)")
    parser.add_argument("--rounds", type=int, default=1, help="how often, in turn (%(default)s)")
    parser.add_argument("--durability", choices=["none", "data", "full"], default="full")
    parser.add_argument("--settle", action="store_true", help="write everything to the disk before")
    parser.add_argument("--dir", default=".", help="where the root is made: the disk in question (%(default)s)")
    parser.add_argument("what", nargs="*", default=["delete", "replace", "break off", "download"])
    options = parser.parse_args()
    print(f"{'what':<11}{'lists':>7}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'answered ms':>13}{'freed ms':>10}")
    for _ in range(options.rounds):
        for what in options.what:
            with tempfile.TemporaryDirectory(dir=options.dir) as root:
                latencies, answered, freed = measure(options, root, what)
            at = lambda share: latencies[min(int(len(latencies) * share), len(latencies) - 1)] * 1000
            figures = f"{at(0.5):>9.2f}{at(0.99):>9.1f}{at(1):>9.1f}{answered * 1000:>13.0f}{freed * 1000:>10.0f}"
            print(f"{what:<11}{len(latencies):>7}{figures}", flush=True)


if __name__ == "__main__":
    main()
