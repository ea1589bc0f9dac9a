"""`python -m tools.mutants`: tries every mutant and prints which tests noticed it; exit code 1 if one survived."""

import argparse
import hashlib
import json
import shlex
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tools.mutants.drawing import draw
from tools.mutants.mutant import EQUIVALENT, LISTED, Mutant, MutantError, read_equivalent, read_listed
from tools.mutants.running import Copy, Verdict, failing_anyway, judge_all

ROOT = Path(__file__).resolve().parents[2]
CAUGHT = ("caught", "timeout")


def main(arguments: list[str]) -> int:
    """Tries the mutants and writes the report; returns the exit code."""
    options = _parser().parse_args(arguments)
    equivalent = read_equivalent(options.equivalent)
    listed = [each for each in read_listed(options.listed) if options.topic in (None, each.topic)]
    drawn = [] if options.topic else draw(options.root, options.seed, options.drawn, set(equivalent), options.package)
    mutants = listed + drawn
    digests = {each.file: _digest(options.root / each.file) for each in mutants}
    known = _known(options.out, options.root) if options.resume else {}
    entries = {each.key: known[each.key] for each in mutants if each.key in known}
    report = {
        "command": shlex.join(["python", "-m", "tools.mutants", f"--seed={options.seed}", f"--drawn={options.drawn}"]),
        "seed": options.seed,
        "equivalent": [
            dict(zip(("file", "find", "replace"), key, strict=True), why=why) for key, why in equivalent.items()
        ],
    }
    with tempfile.TemporaryDirectory(prefix="mutants-") as scratch:
        pending = [each for each in mutants if each.key not in entries]
        copies = Path(scratch)
        for verdict in judge_all(
            options.root, pending, options.workers, options.limit, copies, options.package, not options.quick
        ):
            _show(verdict)
            entries[verdict.mutant.key] = _entry(verdict, digests[verdict.mutant.file])
            _write(options.out, report, [entries[each.key] for each in mutants if each.key in entries])
        failing = set() if options.suite_passed else _failing_anyway(entries.values(), options, copies)
    for entry in entries.values():
        if failing & set(entry["caught_by"]):
            entry["verdict"] = "unclear"
    return _conclude(report, [entries[each.key] for each in mutants], options.out)


def _failing_anyway(entries: Iterable[dict[str, Any]], options: argparse.Namespace, scratch: Path) -> set[str]:
    """Returns the tests that noticed a mutant but also fail without one."""
    noticing = {test for entry in entries if entry["verdict"] in CAUGHT for test in entry["caught_by"]}
    unchanged = [Copy(options.root, scratch / f"unchanged-{number}") for number in range(options.workers)]
    return failing_anyway(unchanged, noticing, 4 * options.limit)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=21, help="seed of the drawn mutants")
    parser.add_argument("--drawn", type=int, default=40, help="number of drawn mutants")
    parser.add_argument("--topic", help="try only the listed mutants of one topic")
    parser.add_argument("--workers", type=int, default=2, help="mutants in parallel")
    parser.add_argument("--limit", type=float, default=900, help="seconds for the tests of one mutant")
    parser.add_argument(
        "--suite-passed",
        action="store_true",
        help="do not check that the tests that noticed a mutant pass without one: all tests have just passed",
    )
    parser.add_argument("--quick", action="store_true", help="try each on its own tests only")
    parser.add_argument("--resume", action="store_true", help="keep verdicts in --out on files that have not changed")
    parser.add_argument("--root", type=Path, default=ROOT, help="root of the project")
    parser.add_argument("--package", default="tfkd", help="folder of the source")
    parser.add_argument("--listed", type=Path, default=LISTED)
    parser.add_argument("--equivalent", type=Path, default=EQUIVALENT)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/evidence/mutants.json", help="file of the report")
    return parser


def _known(path: Path, root: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Returns the valid entries of an earlier report: caught, in a file that has not changed since."""
    if not path.is_file():
        return {}
    entries = json.loads(path.read_text(encoding="utf-8"))["mutants"]
    return {
        Mutant("", each["file"], each["find"], each["replace"]).key: each
        for each in entries
        if each["verdict"] in CAUGHT and each["file_sha256"] == _digest(root / each["file"])
    }


def _entry(verdict: Verdict, digest: str) -> dict[str, Any]:
    mutant = verdict.mutant
    return {
        "topic": mutant.topic,
        "file": mutant.file,
        "find": mutant.find,
        "replace": mutant.replace,
        "verdict": verdict.word,
        "caught_by": list(verdict.caught_by),
        "seconds": round(verdict.seconds, 1),
        "file_sha256": digest,
    }


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _show(verdict: Verdict) -> None:
    mutant = verdict.mutant
    print(
        f"{verdict.word:9}{verdict.seconds:6.0f} s  {mutant.topic:18}{mutant.file}  {' '.join(verdict.caught_by[:1])}",
        flush=True,
    )
    if verdict.word not in CAUGHT:
        print(f"    {mutant.find.strip()}\n    → {mutant.replace.strip()}", flush=True)


def _write(path: Path, report: dict[str, Any], entries: list[dict[str, Any]]) -> dict[str, Any]:
    words = Counter(entry["verdict"] for entry in entries)
    topics = Counter(entry["topic"] for entry in entries)
    caught = Counter(entry["topic"] for entry in entries if entry["verdict"] in CAUGHT)
    counts = {
        "tried": len(entries),
        "caught": sum(words[word] for word in CAUGHT),
        "of_these_by_timeout": words["timeout"],
        "survived": words["survived"],
        "unclear": words["unclear"],
        "topics": {topic: {"tried": tried, "caught": caught[topic]} for topic, tried in topics.items()},
    }
    whole = {**report, **counts, "mutants": entries}
    path.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return counts


def _conclude(report: dict[str, Any], entries: list[dict[str, Any]], out: Path) -> int:
    counts = _write(out, report, entries)
    print(f"\n{'topic':20}tried  caught")
    for topic, each in counts["topics"].items():
        print(f"{topic:20}{each['tried']:5}{each['caught']:8}")
    print(
        f"\n{counts['tried']} mutants tried, {counts['caught']} caught ({counts['of_these_by_timeout']} by timeout), "
        f"{counts['survived']} survived, {counts['unclear']} unclear; {len(report['equivalent'])} are equivalent and "
        f"were not tried; seed {report['seed']}"
    )
    return 0 if counts["caught"] == counts["tried"] else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except MutantError as error:
        sys.exit(f"mutants: {error}")
