#!/usr/bin/env python3
"""Draw the README's picture from the summaries of runs: throughput of one combination, ours beside others.

    scripts/picture.py ours=results/RUN python=results/RUN ... > docs/result.svg

Each NAME=RUN adds a bar to both panels (download and upload); the names are shown as they are given, with
underscores as spaces. The combination is 100 MiB, 5 clients, 5 server workers unless --clients, --servers or
--volume say otherwise. Numbers come from summary.csv and nowhere else; of several rows the first is taken.
"""

from __future__ import annotations

import argparse
import csv
import pathlib
import sys

WIDTH, BAR, GAP, LEFT, RIGHT = 860, 26, 12, 270, 110
INK, MUTED, OURS, OTHERS = "#1f2328", "#656d76", "#0969da", "#8c959f"


def throughput(run: pathlib.Path, operation: str, args: argparse.Namespace) -> float | None:
    """Verified content bytes per second of all clients together, or None if the run has no such row."""
    with open(run / "summary.csv", newline="") as file:
        for row in csv.DictReader(file):
            wanted = (operation, str(args.volume), str(args.clients), str(args.servers))
            if (row["operation"], row["volume_bytes"], row["client_workers"], row["server_workers"]) == wanted:
                if row["status"] == "ok":
                    return float(row["aggregate_bytes_per_s"])
    return None


def panel(title: str, bars: list[tuple[str, float]], top: int) -> tuple[list[str], int]:
    """One panel's SVG elements and the height it takes."""
    largest = max(value for _, value in bars)
    out = [f'<text class="title" x="20" y="{top + 16}">{title}</text>']
    y = top + 30
    for index, (name, value) in enumerate(bars):
        length = max(2.0, (WIDTH - LEFT - RIGHT) * value / largest)
        middle = y + BAR / 2 + 5
        kind = "ours" if index == 0 else "other"
        out.append(f'<text class="name" x="{LEFT - 12}" y="{middle}">{name}</text>')
        out.append(f'<rect class="{kind}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="3"/>')
        out.append(f'<text class="value" x="{LEFT + length + 8:.1f}" y="{middle}">{value / 1e6:,.0f} MB/s</text>')
        y += BAR + GAP
    return out, y - top + 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    parser.add_argument("--volume", type=int, default=100 << 20, help="bytes")
    parser.add_argument("--clients", type=int, default=5)
    parser.add_argument("--servers", type=int, default=5)
    args = parser.parse_args()

    runs = [(name.replace("_", " "), pathlib.Path(run)) for name, _, run in (arg.partition("=") for arg in args.runs)]
    body: list[str] = []
    top = 16
    for operation in ("download", "upload"):
        bars = [(name, value) for name, run in runs if (value := throughput(run, operation, args)) is not None]
        if not bars:
            print(f"no run has a verified {operation} row for this combination", file=sys.stderr)
            return 1
        title = (
            f"{operation.capitalize()}: {args.volume >> 20} MiB, {args.clients} clients, {args.servers} server workers"
        )
        elements, height = panel(title, bars, top)
        body += elements
        top += height
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}" role="img">\n'
        "<title>Verified content bytes per second, all clients together</title>\n<style>\n"
        "text { font: 14px system-ui, sans-serif; }\n"
        f".title {{ font-weight: 600; fill: {INK}; }} .name {{ text-anchor: end; fill: {INK}; }}\n"
        f".value {{ fill: {MUTED}; }} .ours {{ fill: {OURS}; }} .other {{ fill: {OTHERS}; }}\n"
        f'</style>\n<rect width="{WIDTH}" height="{top}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
