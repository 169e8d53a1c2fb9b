#!/usr/bin/env python3
"""Lines of code, modules and import cycles of every crate, and the rules about who may import what and how long a file is.

    scripts/house.py              prints them; exit 1 if a rule is broken
    scripts/house.py -v           with the names of the modules in each cycle
    scripts/house.py --prove      breaks each rule, in memory, and sees that it is noticed

A line of code is one that is neither blank nor a comment nor part of a test; lines of texts/ count too. Imports are read
as text. What a module takes from its own children by their bare names is no import here.
"""

import pathlib
import re
import sys

CRATES = pathlib.Path(__file__).resolve().parent.parent / "crates"
# Crates in which no modules import each other in a cycle: all.
WITHOUT_CYCLES = ["cli-kit", "client", "prefork-server", "proof", "proto", "screen", "stress", "stress-data", "stress-report"]
# A crate and a module of it that nothing imports but lib.rs, main.rs and what lies in the module itself.
FOR_THE_ROOT = [("prefork-server", "cli"), ("stress", "commands")]
# A crate and its folders, each of which imports only those that stand before it.
LAYERS = [
    ("prefork-server", ["sys", "words", "exit", "rights", "shared", "store", "sandbox", "config", "operator", "connection", "pool",
                        "supervisor", "selftest", "cli"]),
    ("stress", ["host", "corpus", "rig", "clients", "faults", "pdf", "run", "trials", "commands"]),
]
# A crate and what its code names nowhere.
NOT_NAMED = [
    ("stress-data", ["std::process", "std::net", "nix::", "clap::"]),
    ("stress-report", ["std::process", "std::net", "nix::", "clap::"]),
]

# Longer than this a file has more than one idea, but for these.
LINES_MAX = 500
LONGER = {
    "client/tests/cli/main.rs": "one binary of tests: each more costs a link",
    "prefork-server/src/sys.rs": "all unsafe code stands in one file",
    "prefork-server/tests/suite/support.rs": "what all tests of real servers share",
    "stress-data/src/verify/tests.rs": "one made-up run, and everything that can be wrong with it",
}

TEST_FILE = re.compile(r"(^|/)(tests?|snapshots)(/|\.rs$)")
NOT_IMPORTING = re.compile(r"(^|/)(tests?|testing|.*_tests?)(\.rs|/)")
INLINE_TESTS = re.compile(r"#\[cfg\(test\)\]\s*(#\[[^\]]*\]\s*)*(pub(\([^)]*\))? )?mod \w+ \{.*\Z", re.S)


def without_tests(text):
    """The lines that are no part of an item marked `#[cfg(test)]`, nor blank, nor a comment."""
    kept, depth, skipped_from, is_comment, is_marked = [], 0, None, False, False
    for line in map(str.strip, text.splitlines()):
        if is_comment or line.startswith("/*"):
            is_comment = "*/" not in line
            continue
        if not line or line.startswith("//"):
            continue
        if skipped_from is None and line.startswith("#[cfg(test)]"):
            is_marked = True
            continue
        if is_marked and skipped_from is None:
            if line.startswith("#["):
                continue
            is_marked = False
            if re.match(r"(pub(\([^)]*\))? )?mod \w+;", line):
                continue
            skipped_from = depth
        plain = re.sub(r"'(?:\\.|[^'\\])'", "''", re.sub(r'"(?:\\.|[^"\\])*"', '""', line))
        depth += plain.count("{") - plain.count("}")
        if skipped_from is None:
            kept.append(line)
        elif depth <= skipped_from and ("}" in plain or plain.endswith(";")):
            skipped_from = None
    return kept


def lines_of(crate):
    sources = [it for it in (crate / "src").rglob("*.rs") if not TEST_FILE.search(str(it.relative_to(crate)))]
    texts = [it for it in crate.glob("**/texts/**/*") if it.is_file() and it.suffix != ".rs"]
    code = sum(len(without_tests(it.read_text())) for it in sources)
    return code + sum(bool(line.strip()) for it in texts for line in it.read_text().splitlines())


def modules_of(crate):
    """The texts of a crate's modules by their paths, without tests and comments."""
    modules = {}
    for file in sorted((crate / "src").rglob("*.rs")):
        name = str(file.relative_to(crate / "src"))
        if NOT_IMPORTING.search(name):
            continue
        parts = name[:-3].split("/")
        path = tuple(parts[:-1] if parts[-1] in ("mod", "lib", "main") else parts)
        text = re.sub(r"//[^\n]*", "", INLINE_TESTS.sub("", file.read_text()))
        modules[path] = modules.get(path, "") + text
    return modules


def leaves(tree):
    """The single paths of `a::{b, c::{d, e}}`."""
    found = re.match(r"^([^{]*)\{(.*)\}$", tree.strip(), re.S)
    if not found:
        return [tree.strip()]
    parts, depth = [""], 0
    for char in found.group(2):
        depth += (char == "{") - (char == "}")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [found.group(1) + leaf for part in parts if part.strip() for leaf in leaves(part)]


def imports(modules):
    """Which modules each module imports, by path."""
    found = {}
    for module, text in modules.items():
        trees = re.findall(r"\buse\s+((?:crate|super|self)\b[^;]*);", text)
        paths = [leaf for tree in trees for leaf in leaves(re.sub(r"\s+", " ", tree))]
        paths += re.findall(r"\b((?:crate|super)(?:::\w+)+)", text)
        found[module] = {named for path in paths if (named := resolve(path, module, modules)) != module and named in modules}
    return found


def resolve(path, module, modules):
    segments = [part.strip() for part in path.split(" as ")[0].split("::")]
    base = () if segments[0] == "crate" else module
    segments = segments[1:] if segments[0] in ("crate", "self") else segments
    while segments and segments[0] == "super":
        base, segments = base[:-1], segments[1:]
    while segments and base + (segments[0],) in modules:
        base, segments = base + (segments[0],), segments[1:]
    return base


def cycles(edges):
    """Groups of modules each of which reaches all others of its group, the largest first."""
    reached = {}
    for start in edges:
        seen, todo = set(), [start]
        while todo:
            new = edges[todo.pop()] - seen
            seen |= new
            todo += new
        reached[start] = seen
    groups = {frozenset(it for it in reached[start] if start in reached[it]) for start in edges if start in reached[start]}
    return sorted((sorted(group) for group in groups if len(group) > 1), key=len, reverse=True)


def spelled_out(text):
    """The text, with each path of its `use a::{b, c}` written whole behind it."""
    trees = re.findall(r"\buse\s+([^;]*);", text)
    return "\n".join([text, *(leaf + "::" for tree in trees for leaf in leaves(re.sub(r"\s+", " ", tree)))])


def name_of(module):
    return "::".join(module) or "lib"


def broken(crate, modules):
    """The rules that these modules of `crate` break, in sentences."""
    found = []
    if crate in WITHOUT_CYCLES:
        for cycle in cycles(imports(modules)):
            found.append(f"{crate}: these modules import each other in a cycle: {' '.join(map(name_of, cycle))}")
    for module, imported in imports(modules).items():
        for of, private in FOR_THE_ROOT:
            if of == crate and module and module[0] != private and any(it[:1] == (private,) for it in imported):
                found.append(f"{crate}: {name_of(module)} must not import {private}")
    for of, layers in LAYERS:
        for module, imported in imports(modules).items() if of == crate else ():
            if module and module[0] not in layers:
                found.append(f"{crate}: {name_of(module)} has no place in LAYERS")
            elif module:
                upper = layers[layers.index(module[0]) + 1:]
                found += [f"{crate}: {name_of(module)} must not import {name_of(it)}" for it in imported if it and it[0] in upper]
    for of, words in NOT_NAMED:
        for module, text in modules.items() if of == crate else ():
            found += [f"{crate}: {name_of(module)} must not name {word}" for word in words if re.search(rf"\b{word}", spelled_out(text))]
    return found


def too_long(lengths):
    """What there is to say of files of these lengths, by their names in crates/."""
    found = [f"{name} has {length} lines, and no reason to have more than {LINES_MAX} is in LONGER"
             for name, length in lengths.items() if length > LINES_MAX and name not in LONGER]
    return found + [f"{name} is in LONGER for nothing" for name in LONGER if lengths.get(name, 0) <= LINES_MAX]


def stray_seeds():
    """Seeds of property tests are looked for beside their test's source: where there is none, nobody replays them."""
    for seeds in CRATES.glob("*/proptest-regressions/**/*.txt"):
        crate, inner = seeds.relative_to(CRATES).parts[0], seeds.relative_to(CRATES).parts[2:]
        if not (CRATES / crate / "src").joinpath(*inner).with_suffix(".rs").exists():
            yield f"{seeds.relative_to(CRATES)}: its test's source is elsewhere"


def lengths():
    return {str(it.relative_to(CRATES)): len(it.read_text().splitlines()) for it in CRATES.rglob("*.rs")}


def prove():
    """Imports something bad, in memory, under each rule; the rules must notice."""
    rules = 0
    for crate in WITHOUT_CYCLES:
        modules = modules_of(CRATES / crate)
        one, other = next((a, b) for a, found in imports(modules).items() for b in sorted(found) if a and b)
        modules[other] += f"\nuse crate::{name_of(one)};"
        assert any("cycle" in it for it in broken(crate, modules)), f"no cycle of {one} and {other} in {crate}"
        rules += 1
    for crate, private in FOR_THE_ROOT:
        modules = modules_of(CRATES / crate)
        other = next(it for it in modules if it and it[0] != private)
        modules[other] += f"\nuse crate::{{{private}, {private}::something}};"
        assert any("must not" in it for it in broken(crate, modules)), f"{name_of(other)} may import {private} in {crate}"
        rules += 1
    for crate, layers in LAYERS:
        for lower, upper in zip(layers, layers[1:]):
            modules = modules_of(CRATES / crate)
            modules[(lower,)] += f"\nuse crate::{upper};"
            assert any("must not" in it for it in broken(crate, modules)), f"{lower} may import {upper} in {crate}"
            rules += 1
        assert broken(crate, modules_of(CRATES / crate) | {("new",): ""}), f"a folder of {crate} needs no place in LAYERS"
    for crate, words in NOT_NAMED:
        for word in words:
            modules = modules_of(CRATES / crate)
            root, _, name = word.removesuffix("::").rpartition("::")
            modules[next(iter(modules))] += f"\nuse {root}::{{fs, {name}}};" if root else f"\nuse {name}::something;"
            assert any("must not" in it for it in broken(crate, modules)), f"{crate} may name {word}"
            rules += 1
    assert len(too_long(lengths() | {"proto/src/new.rs": LINES_MAX + 1, next(iter(LONGER)): 1})) == 2, "files may be long"
    print(f"{rules} bad imports, a long file and a needless exception: all noticed")


def main():
    if sys.argv[1:] == ["--prove"]:
        return prove()
    failures, total = [], 0
    for crate in sorted(it for it in CRATES.iterdir() if it.is_dir()):
        modules, lines = modules_of(crate), lines_of(crate)
        found = cycles(imports(modules))
        total += lines
        sizes = " + ".join(str(len(it)) for it in found) or "none"
        print(f"{crate.name:15} {lines:6} lines, {len(modules):3} modules, cycles: {sizes}")
        for cycle in found if "-v" in sys.argv[1:] else ():
            print("    " + " ".join(map(name_of, cycle)))
        failures += broken(crate.name, modules)
    failures += [*too_long(lengths()), *stray_seeds()]
    print(f"{'all':15} {total:6} lines")
    for failure in failures:
        print(f"not so: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
