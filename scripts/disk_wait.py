#!/usr/bin/env python3
"""How long a small request waits while others' uploads wait for the disk, under each pool.

Starts our server once for each POOL:WORKERS, keeps it busy with uploads that have to survive a power loss, and lists
the root over a new connection, again and again. One line for each; read them as ratios within one run. Standard library
only, and nothing but loopback.

    python3 scripts/disk_wait.py --server target/release/prefork-server event:1 event:5 process:5 thread:5
"""

import argparse
import base64
import json
import multiprocessing
import os
import socket
import subprocess
import tempfile
import time


def ask(address, request):
    """Sends one request over a connection of its own and waits for the end of its reply."""
    with socket.create_connection(address, timeout=60) as peer:
        peer.sendall(request)
        tail = b""
        while not tail.endswith(b"\r\n\r\n"):
            chunk = peer.recv(1 << 16)
            if not chunk:
                raise EOFError("no whole reply")
            tail = (tail + chunk)[-4:]


def upload_for_ever(address, number, size, uploads):
    """Uploads to one name until it is terminated; counts."""
    content = base64.b64encode(os.urandom(size))
    request = b"UPLOAD busy-%d.bin " % number + content + b"\r\n"
    while True:
        ask(address, request)
        with uploads.get_lock():
            uploads.value += 1


def measure(server, root, pool, workers, options):
    """Latencies of LIST in seconds, sorted, and uploads a second meanwhile."""
    command = [server, "--bind", "127.0.0.1:0", "--root", root, "--pool", pool, "--workers", workers]
    command += ["--durability", options.durability, "--log-level", "error", "--exit-with-stdin"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ready = json.loads(child.stdout.readline())
    host, port = ready["address"].rsplit(":", 1)
    address = (host, int(port))
    uploads = multiprocessing.Value("q", 0)
    uploaders = [
        multiprocessing.Process(target=upload_for_ever, args=(address, n, options.size, uploads), daemon=True)
        for n in range(options.uploads)
    ]
    try:
        for uploader in uploaders:
            uploader.start()
        while uploads.value < options.uploads:
            time.sleep(0.01)
        latencies, before, start = [], uploads.value, time.monotonic()
        while time.monotonic() < start + options.seconds:
            asked = time.monotonic()
            ask(address, b"LIST\r\n")
            latencies.append(time.monotonic() - asked)
            time.sleep(0.005)
        took = time.monotonic() - start
        return sorted(latencies), (uploads.value - before) / took
    finally:
        for uploader in uploaders:
            uploader.terminate()
            uploader.join()
        child.stdin.close()
        child.wait(timeout=60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="target/release/prefork-server", help="our server's program")
    parser.add_argument("--uploads", type=int, default=5, help="uploads at the same time (%(default)s)")
    parser.add_argument("--size", type=int, default=4 << 20, help="bytes of one upload (%(default)s)")
    parser.add_argument("--seconds", type=float, default=5, help="how long each is measured (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often, in turn (%(default)s)")
    parser.add_argument("--durability", choices=["none", "data", "full"], default="full")
    parser.add_argument("--dir", default=".", help="where the root is made: the disk in question (%(default)s)")
    parser.add_argument("pools", nargs="+", metavar="POOL:WORKERS")
    options = parser.parse_args()
    print(f"{'pool:workers':<14}{'lists':>7}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'uploads/s':>11}")
    for _ in range(options.rounds):
        for which in options.pools:
            pool, workers = which.split(":")
            with tempfile.TemporaryDirectory(dir=options.dir) as root:
                latencies, rate = measure(options.server, root, pool, workers, options)
            at = lambda share: latencies[min(int(len(latencies) * share), len(latencies) - 1)] * 1000
            print(f"{which:<14}{len(latencies):>7}{at(0.5):>9.2f}{at(0.99):>9.1f}{at(1):>9.1f}{rate:>11.1f}", flush=True)


if __name__ == "__main__":
    main()
