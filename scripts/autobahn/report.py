#!/usr/bin/env python3
"""Judges a run of the Autobahn suite, and compares it with the one that is written down.

    report.py [--update] PAGE RELAY-VERSION PASS=OUTDIR...

A case is accepted if its behavior is OK, NON-STRICT, INFORMATIONAL or UNIMPLEMENTED and the close was OK or
INFORMATIONAL. A run is worse than PAGE if a case is not plain OK there and was, or if fewer cases were run.
--update rewrites PAGE. Exit status: 0 all cases are accepted and it is no worse, otherwise 1.
"""
import argparse
import collections
import importlib.metadata
import json
import pathlib
import re
import sys

ACCEPTED = {"OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED"}
ACCEPTED_CLOSE = {"OK", "INFORMATIONAL"}
COLUMNS = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED", "UNCLEAN", "NOT RUN"]
ABOUT = {
    "text": "`wsrelay --to ADDR` in front of a line echo server",
    "binary": "`wsrelay --binary --to ADDR` in front of a byte echo server",
    "limits": "as text, with `--max-line 17MiB`: messages up to 16 MiB and 6000 round trips",
}
REASONS = json.loads((pathlib.Path(__file__).parent / "reasons.json").read_text())

Case = collections.namedtuple("Case", "id verdict accepted about")


def in_order(case_id):
    return [int(number) for number in case_id.split(".")]


def read_case(case_id, result, folder):
    behavior, close = result["behavior"], result["behaviorClose"]
    accepted = behavior in ACCEPTED and close in ACCEPTED_CLOSE
    # The suite tells two things of a case, what was said and how it was closed: the worse is its verdict.
    verdict = behavior if behavior not in ACCEPTED or close in ACCEPTED_CLOSE else close
    if verdict == "OK" and case_id in REASONS["races"]:
        verdict = "NON-STRICT"
    about = ""
    if verdict != "OK" and "reportfile" in result:
        detail = json.loads((folder / result["reportfile"]).read_text())
        about = REASONS["why"].get(case_id) if accepted else None
        about = about or f"{detail['result']} {detail['resultClose']}"
    return Case(case_id, verdict, accepted, " ".join(about.split()))


def read_run(folder):
    """The cases of one pass, in order."""
    (results,) = json.loads((folder / "index.json").read_text()).values()
    return [read_case(case_id, results[case_id], folder) for case_id in sorted(results, key=in_order)]


def counts(cases):
    counted = collections.Counter(case.verdict for case in cases)
    return [(name, counted[name]) for name in [*COLUMNS, *sorted(set(counted) - set(COLUMNS))]]


def page(version, runs):
    names = [name for name in COLUMNS if any(dict(counts(cases))[name] for cases in runs.values())]
    names += [name for name in ("FAILED", "UNCLEAN") if name not in names]
    lines = [
        "# Conformance to RFC 6455",
        "",
        "What the [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite) finds.",
        "`scripts/conformance` runs it and compares; `scripts/conformance --update` rewrites this page.",
        "",
        f"wsrelay {version}, autobahntestsuite {importlib.metadata.version('autobahntestsuite')} "
        f"on autobahn {importlib.metadata.version('autobahn')}",
        "",
        "| pass | cases | " + " | ".join(names) + " |",
        "|---" * (len(names) + 2) + "|",
    ]
    for name, cases in runs.items():
        counted = dict(counts(cases))
        lines.append(f"| {name} | {len(cases)} | " + " | ".join(str(counted[column]) for column in names) + " |")
    lines += ["", *(f"- {name}: {ABOUT[name]}" for name in runs)]
    lines += ["", "## Cases that are not plain OK", "", "| pass | case | behavior | why |", "|---|---|---|---|"]
    for name, cases in runs.items():
        lines += [f"| {name} | {case.id} | {case.verdict} | {case.about} |" for case in cases if case.verdict != "OK"]
    return "\n".join([
        *lines,
        "",
        "Not covered by the suite, and tested elsewhere: CR and LF in messages, split and merged lines, refusals.",
        "",
    ])


def read_page(text):
    """What a page says: the number of cases per pass, and the verdict of each case that is not plain OK."""
    sizes = {name: int(size) for name, size in re.findall(r"^\| (\w+) \| (\d+) \|", text, re.M)}
    rows = re.findall(r"^\| (\w+) \| ([\d.]+) \| ([A-Z][A-Z -]*) \|", text, re.M)
    return sizes, {(name, case_id): verdict for name, case_id, verdict in rows}


def compare(text, runs):
    """(what is worse, what is better), as lines."""
    sizes, known = read_page(text)
    worse, better = [], []
    for name, cases in runs.items():
        if len(cases) < sizes.get(name, 0):
            worse.append(f"{name}: {len(cases)} cases were run, {sizes[name]} before")
        for case in cases:
            before = known.get((name, case.id), "OK")
            if case.verdict == before:
                continue
            rank = {verdict: place for place, verdict in enumerate(COLUMNS)}
            line = f"{name} {case.id}: {case.verdict}, {before} before: {case.about}"
            (worse if rank.get(case.verdict, 99) > rank.get(before, 99) else better).append(line)
    return worse, better


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true")
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("version")
    parser.add_argument("runs", nargs="+", metavar="PASS=OUTDIR")
    args = parser.parse_args()
    folders = dict(run.split("=", 1) for run in args.runs)
    runs = {name: read_run(pathlib.Path(folder)) for name, folder in folders.items()}

    refused = []
    for name, cases in runs.items():
        said = ", ".join(f"{number} {verdict}" for verdict, number in counts(cases) if number)
        print(f"{name}: {len(cases)} cases: {said}")
        refused += [f"{name} {case.id}: {case.verdict}: {case.about}" for case in cases if not case.accepted]
    if args.update:
        args.page.parent.mkdir(exist_ok=True)
        args.page.write_text(page(args.version, runs))
        print(f"wrote {args.page}")
        worse, better = [], []
    else:
        worse, better = compare(args.page.read_text(), runs)
    for title, lines in [("not accepted", refused), ("worse than written down", worse)]:
        for line in lines:
            print(f"{title}: {line}")
    if better and not worse and not refused:
        print(f"better than {args.page} says in {len(better)} cases: scripts/conformance --update")
    return 1 if refused or worse else 0


if __name__ == "__main__":
    sys.exit(main())
