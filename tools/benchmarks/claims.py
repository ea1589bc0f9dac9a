"""Tries claims about distillation: trains what each compares, over several seeds, and writes what comes out.

    python tools/benchmarks/claims.py --images clothing160.zip --cifar folder:cifar10.zip
        --out docs/evidence/claims.json

The claims, their recipes and what is measured are in claim_table.py. It prints how long all of them will take, and
after each how long it took. A claim that is in --out with the same recipes and seeds is not tried again; after a kill
the same command continues, because --runs keeps stores and trainings. --smoke tries the form with networks that train
in a second.

For the claim about a teacher per domain, photos of two kinds are made from --images once, in --runs.
"""

import argparse
import json
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from claim_costs import Costs
from claim_laboratory import Laboratory
from claim_measures import MEASURES
from claim_table import BASES, CLAIMS, TWO_KINDS, Claim
from photo_kinds import write_two_kinds

from tfkd import machine
from tfkd.errors import RequestError, TfkdError, nearest
from tfkd.files import fingerprint, write_json
from tfkd.progress import for_output
from tfkd.report import units

Found = dict[str, dict[str, Any]]  # records by the names of the claims


def chosen(names: list[str]) -> list[Claim]:
    """Returns the claims of these names, or all, in the order of the table.

    Raises:
        RequestError: there is no such claim.
    """
    known = [claim.name for claim in CLAIMS]
    for name in names:
        if name not in known:
            raise RequestError(f"There is no claim {name!r}.{nearest(name, known)}")
    return [claim for claim in CLAIMS if not names or claim.name in names]


def earlier(path: Path) -> Found:
    """Returns the records of a file of earlier calls.

    Raises:
        RequestError: it is another file, or its folder does not exist.
    """
    if not path.parent.is_dir():
        raise RequestError(f"The folder of {path} does not exist; create it, or name another file as --out.")
    if not path.exists():
        return {}
    try:
        found: Found = json.loads(path.read_text(encoding="utf-8"))["claims"]
        if all(isinstance(each["tried"], str) for each in found.values()):
            return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise RequestError(f"{path} is no file of claims; name another one as --out.")


def tried(claim: Claim, lab: Laboratory) -> str:
    """Returns a fingerprint of what a claim compares, which a record holds."""
    arms = {name: (lab.recipe(arm).model_dump(mode="json"), arm.teacher) for name, arm in claim.arms.items()}
    return fingerprint(arms, claim.against, claim.measure, lab.smoke)


def record(claim: Claim, lab: Laboratory) -> dict[str, Any]:
    """Tries a claim and returns its record; `seconds` are those of this call."""
    started = time.monotonic()
    rows = MEASURES[claim.measure](claim, lab)
    return {
        "claimed": claim.claimed,
        "quantity": claim.quantity,
        "measure": claim.measure,
        "arms": {name: asdict(arm) for name, arm in claim.arms.items()},
        "seeds": lab.seeds,
        "smoke": lab.smoke,
        "seconds": round(time.monotonic() - started, 1),
        "command": shlex.join(["python", *sys.argv]),
        "environment": machine.environment(),
        "tried": tried(claim, lab),
        "rows": rows,
    }


def try_all(claims: list[Claim], lab: Laboratory, out: Path) -> None:
    """Tries the claims that are not in a file of earlier calls, and adds each to it."""
    found, say = earlier(out), lab.progress.say
    due = [claim for claim in claims if claim.name not in found or found[claim.name]["tried"] != tried(claim, lab)]
    for claim in claims:
        if claim not in due:
            say(f"{claim.name}: in {out} already")
    costs = Costs(lab)
    predicted = {claim.name: costs.seconds(claim) for claim in due}
    for name, seconds in predicted.items():
        say(f"{name}: about {units.seconds(seconds)}")
    say(f"together about {units.seconds(sum(predicted.values()))}; trainings that --runs holds already take no time")
    for claim in due:
        say(f"{claim.name}: {claim.claimed}")
        found[claim.name] = record(claim, lab)
        in_order = {each.name: found[each.name] for each in CLAIMS if each.name in found}
        write_json(out, {"command": found[claim.name]["command"], "claims": in_order})
        took, expected = found[claim.name]["seconds"], predicted[claim.name]
        say(f"{claim.name}: {units.seconds(took)}, predicted {units.seconds(expected)}")


def main() -> None:
    """Parses the command line, measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "claims", nargs="*", metavar="CLAIM", help=f"default: all of {', '.join(c.name for c in CLAIMS)}"
    )
    parser.add_argument("--images", type=Path, required=True, help="clothing160.zip, or a folder of class folders")
    parser.add_argument("--cifar", required=True, help="CIFAR-10 as a source: folder:PATH or tfds:cifar10")
    parser.add_argument("--out", type=Path, required=True, help="file of the records; each claim is added to it")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default: %(default)s)")
    parser.add_argument("--smoke", action="store_true", help="with networks that train in a second, as a check")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder that keeps stores and trainings")
    options = parser.parse_intermixed_args()
    if options.seeds < 1:
        parser.error(f"--seeds is {options.seeds}; give at least 1.")
    clothing, cifar = BASES["all labelled"].name, BASES["CIFAR-10"].name
    two_kinds = options.runs / "two_kinds.zip"
    sources = {clothing: f"folder:{options.images}", cifar: options.cifar, BASES[TWO_KINDS].name: f"folder:{two_kinds}"}
    lab = Laboratory(sources, options.runs, options.seeds, options.smoke, for_output())
    try:
        claims = chosen(options.claims)
        if any(arm.base == TWO_KINDS for claim in claims for arm in claim.arms.values()):
            write_two_kinds(options.images, two_kinds)
        try_all(claims, lab, options.out)
    except TfkdError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
