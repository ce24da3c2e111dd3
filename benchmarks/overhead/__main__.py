"""The command: `python -m vidsuite_benchmarks.overhead`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from vidsuite_benchmarks.overhead import __doc__ as about
from vidsuite_benchmarks.overhead import data, planning, stored, training
from vidsuite_benchmarks.overhead.common import Figure
from vidsuite_core.support.environment import hardware, software

PARTS = {
    "startup": planning.startup,
    "plan": planning.plan,
    "scheduler": stored.scheduler,
    "report": stored.report,
    "resume": stored.resume,
    "data": data.clips,
    "training": training.loop,
}


def main() -> None:
    """Measure what is named, print a table, and write JSON."""
    options = parse()
    figures: list[Figure] = []
    begun, load = time.strftime("%Y-%m-%dT%H:%M:%S%z"), os.getloadavg()
    print(f"{'figure':48} {'value':>10} {'goal':>10} {'reference':>10}", flush=True)
    with tempfile.TemporaryDirectory(prefix="vidsuite-overhead-") as scratch:
        os.environ["VIDSUITE_CACHE"] = str(Path(scratch) / "cache")
        for name in options.names or PARTS:
            for figure in PARTS[name](Path(scratch), options):
                figures.append(figure)
                print(line(figure), flush=True)
    print(f"\nload before {load[0]:.1f}, after {os.getloadavg()[0]:.1f}, on {os.cpu_count()} processors")
    if options.json:
        told = {
            "begun": begun, "load_before": load, "load_after": os.getloadavg(), "hardware": hardware(),
            "software": software(), "python": platform.python_version(),
            "figures": [figure.told() for figure in figures],
        }  # fmt: skip
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    sys.exit(0 if all(figure.met is not False for figure in figures) else 1)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m vidsuite_benchmarks.overhead", description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"what to measure, by default all: {', '.join(PARTS)}")
    parser.add_argument("--json", type=Path, help="write the figures with every sample here")
    parser.add_argument("--rounds", type=int, default=5, help="how often what is timed in turn is timed")
    parser.add_argument("--cells", type=int, default=100_000, help="cells of the plan; a tenth of them are resumed")
    parser.add_argument("--attempts", type=int, default=100_000, help="attempts of the report")
    options = parser.parse_args()
    if unknown := set(options.names) - set(PARTS):
        parser.error(f"there is no {sorted(unknown)[0]!r}; there are {', '.join(PARTS)}")
    return options


def line(figure: Figure) -> str:
    """A row of the table."""
    goal = "-" if figure.goal is None else f"{'≥' if figure.least else '≤'} {figure.goal:.4g}"
    reference = "-" if figure.reference is None else f"{figure.reference:.4g}"
    mark = {True: "", False: "  MISSED", None: ""}[figure.met]
    return f"{figure.name[:48]:48} {figure.value:>7.4g} {figure.unit:<2} {goal:>10} {reference:>10}{mark}  {figure.of}"


if __name__ == "__main__":
    main()
