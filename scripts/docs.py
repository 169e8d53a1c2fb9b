#!/usr/bin/env python3
"""What the documents name must be there: links, headings, source files, and functions written as `file.rs::function`.
README.md must be short, each dependency has its line in ARCHITECTURE.md, and docs/SPEED.md quotes what was measured.

    scripts/docs.py              says what is not so; exit 1 if anything is not
    scripts/docs.py --prove      makes each mistake, in memory, and sees that it is noticed
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
README_LINES_MAX = 120
# Of the past, or made by a program.
NOT_READ = re.compile(r"^(CHANGELOG\.md|results/2|surface/|crates/)")

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
SOURCE = re.compile(r"([\w./-]+\.(?:rs|py|sh|toml))(?:::(\w+(?:::\w+)*))?")


def tracked():
    found = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [name for name in found.stdout.splitlines() if (ROOT / name).exists()]


def slugs(text):
    """The anchors of the headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def is_defined(name, text):
    return re.search(rf"\b(fn|struct|enum|trait|mod|const|static|type|macro_rules!)\s+{name}\b|^\s*{name}[,(]? ?[{{(,]", text, re.M)


def wrong_links(page, text, pages, files):
    folder = pathlib.PurePosixPath(page).parent
    for target in LINK.findall(re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        name = str((ROOT / folder / path).resolve().relative_to(ROOT)) if path else page
        if name not in files and not any(it.startswith(name + "/") for it in files):
            yield f"{page}: there is no {target}"
        elif anchor and anchor not in slugs(pages.get(name, "")):
            yield f"{page}: {name} has no heading for #{anchor}"


def wrong_names(page, text, sources):
    """Files and functions in code spans. A file may be named by the end of its path."""
    for span in CODE.findall(text):
        found = SOURCE.fullmatch(span)
        if not found or found[1].startswith("/"):
            continue
        file, names = found[1], (found[2] or "").split("::")
        texts = [sources[it] for it in sources if it == file or it.endswith("/" + file)]
        if not texts and ("/" in file or found[2]):
            yield f"{page}: there is no {file}"
        for name in filter(None, names):
            if texts and not any(is_defined(name, it) for it in texts):
                yield f"{page}: {file} has no {name}"


def unexplained(text, manifest):
    """Dependencies without a line in the table, and lines without a dependency."""
    used = set(re.findall(r"^([\w-]+) = (?!\{ path)", manifest.split("[workspace.dependencies]")[1].split("\n[")[0], re.M))
    table = text.split("## Dependencies")[1].split("\n## ")[0]
    said = {name for line in table.splitlines() if line.startswith("| `") for name in CODE.findall(line.split(" | ")[0])}
    yield from (f"ARCHITECTURE.md does not say what {name} is for" for name in sorted(used - said))
    yield from (f"ARCHITECTURE.md has a line for {name}, which is not used" for name in sorted(said - used))


def unquoted(text, files):
    """Kept measurements of which docs/SPEED.md does not have what was printed."""
    for name in sorted(files):
        if re.fullmatch(r"measurements/.*\.json", name):
            kept = json.loads((ROOT / name).read_text())
            if f"```text\n$ {kept['command']}\n{kept['printed']}\n```" not in text:
                yield f"docs/SPEED.md does not quote {name}"


def wrong(pages, files, sources):
    found = [*unexplained(pages["ARCHITECTURE.md"], sources["Cargo.toml"]), *unquoted(pages.get("docs/SPEED.md", ""), files)]
    for page, text in pages.items():
        found += wrong_links(page, text, pages, files)
        found += wrong_names(page, text, sources)
    lines = len(pages["README.md"].splitlines())
    return found + [f"README.md has {lines} lines; more than {README_LINES_MAX} nobody reads"] * (lines > README_LINES_MAX)


def prove(pages, files, sources):
    source = next(name for name in sources if name.endswith("/src/lib.rs"))
    lines = pages["ARCHITECTURE.md"]
    assert any("csv is for" in it for it in unexplained(lines.replace("`csv`", "`nothing`"), sources["Cargo.toml"]))
    if any(name.startswith("measurements/") for name in files):
        assert any("does not quote" in it for it in unquoted(pages["docs/SPEED.md"].replace("1", "2"), files))
    mistakes = [
        ("a [page](docs/NOWHERE.md)", "there is no docs/NOWHERE.md"),
        ("a [heading](docs/LIMITS.md#nowhere)", "no heading for #nowhere"),
        ("a file `nowhere/nothing.rs`", "there is no nowhere/nothing.rs"),
        (f"a function `{source}::nothing_at_all`", "has no nothing_at_all"),
        ("a line\n" * README_LINES_MAX, "nobody reads"),
    ]
    for mistake, words in mistakes:
        found = wrong(pages | {"README.md": pages["README.md"] + "\n" + mistake}, files, sources)
        assert any(words in it for it in found), f"{mistake!r} is not noticed"
    print(f"{len(mistakes) + 1} mistakes: all noticed")


def main():
    files = set(tracked())
    pages = {name: (ROOT / name).read_text() for name in files if name.endswith(".md") and not NOT_READ.match(name)}
    sources = {name: (ROOT / name).read_text() for name in files if re.search(r"\.(rs|py|sh|toml)$", name)}
    if sys.argv[1:] == ["--prove"]:
        return prove(pages, files, sources)
    failures = wrong(pages, files, sources)
    for failure in failures:
        print(f"not so: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
