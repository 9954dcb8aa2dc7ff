"""All faults: kills, cuts at random, damaged files, one test each; a table for people and a file for programs.

python -m benchmarks.faults [kills] [cuts] [inputs] [faults]
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.faults import cuts, kills, named
from benchmarks.faults.page import write_page

ROOT = Path(__file__).parents[2]
RESULT = ROOT / "docs" / "results" / "faults.json"
PAGE = ROOT / "docs" / "reliability.md"
KEPT = ROOT / "build" / "faults-cuts.jsonl"
"""Searches of a run that was cut, which the next one does not repeat."""
PARTS = ("kills", "cuts", "inputs", "faults")


def main(parts: list[str]) -> int:
    """Run the parts, all by default; keep what an earlier run found of the others.

    Returns:
        0 when everything was survived, 1 otherwise, 2 for a part that does not exist.
    """
    if not set(parts) <= set(PARTS):
        print(f"usage: python -m benchmarks.faults [{'] ['.join(PARTS)}]", file=sys.stderr)
        return 2
    document: dict[str, Any] = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    for part in parts or PARTS:
        if part == "kills":
            document["kills"] = kills.run()
        elif part == "cuts":
            document["cuts"] = cuts.run(kept=KEPT)
            KEPT.unlink(missing_ok=True)
        elif part == "inputs":
            document["inputs"] = damaged_inputs()
        else:
            document["faults"] = named.run()
        write(document)
    return 0 if survived(document) else 1


def write(document: dict[str, Any]) -> None:
    """Write the file and the page; after each part, so that a later one cannot lose it."""
    ordered = {
        "command": "make test-faults",
        **{part: document[part] for part in PARTS if part in document},
        "goals": goals(document),
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(ordered, indent=2) + "\n", encoding="utf-8")
    write_page(PAGE, ordered)


def damaged_inputs() -> dict[str, Any]:
    """Read damaged files in a process of its own, because what watches them cannot be taken away again."""
    words = [sys.executable, "-W", "ignore", "-m", "benchmarks.faults.inputs"]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return dict(json.loads(done.stdout))


def goals(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What is wanted of each part that was run, and what was measured."""
    found: list[tuple[str, str, Any, bool]] = []
    for part, name in (("kills", "kills of one search"), ("cuts", "searches with settings at random, cut and resumed")):
        if part in document:
            tried, equal = document[part]["tried"], document[part]["bit_equal"]
            found.append((f"{name}: equal to the bit", f"all {tried}", equal, equal == tried))
    if "inputs" in document:
        bad = document["inputs"]["tracebacks"] + len(document["inputs"]["problems"])
        found.append(("damaged files: tracebacks and other problems", "none", bad, bad == 0))
    if "faults" in document:
        kept = sum(fault["survived"] for fault in document["faults"])
        found.append(("faults survived", f"all {len(document['faults'])}", kept, kept == len(document["faults"])))
    return [dict(zip(("name", "wanted", "measured", "met"), each, strict=True)) for each in found]


def survived(document: dict[str, Any]) -> bool:
    """Whether every part was run and nothing in it went wrong."""
    return all(part in document for part in PARTS) and all(goal["met"] for goal in goals(document))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
