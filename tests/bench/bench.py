#!/usr/bin/env python3
"""Measures what external interpreters cost a compile: GHC's own, ours, and GHC itself.

For every GHC, way and module, the contenders are run in turn; the interpreter wait (see meter.cc)
and the whole `ghc -c` are reported as medians, with the ratio to GHC's own ghc-iserv.

  bench.py --iserv build/ghc-9.0.2/iserv            a table of everything
  bench.py --iserv build/ghc-9.0.2/iserv --quick    a first impression, in a minute
  bench.py --iserv ... --check                      exits with 1 if a bar is missed
  bench.py --iserv ... --write                      regenerates docs/measurements.md
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from splicebench import report
from splicebench.bars import judge
from splicebench.contenders import build_meter
from splicebench.ghc import WAY_FLAGS, Ghc
from splicebench.machine import describe
from splicebench.measure import Case, measure_all, our_failures
from splicebench.processes import Orphans
from splicebench.project import measure_project

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "docs" / "measurements.md"
MODULES = ("T", "L", "J", "Y")


def names_from(allowed):
    """An argument type: a comma-separated choice from `allowed`."""
    def parse(text):
        names = text.split(",")
        unknown = [name for name in names if name not in allowed]
        if unknown:
            raise argparse.ArgumentTypeError(
                f"{', '.join(unknown)}: not one of {', '.join(allowed)}")
        return names
    return parse


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iserv", metavar="PATH", default=os.environ.get("SPLICEHOST_ISERV"),
                        help="our interpreter, without the suffix of a way; {version} stands for "
                             "GHC's version (default: $SPLICEHOST_ISERV; none measures the others)")
    parser.add_argument("--ghc", action="append", metavar="GHC",
                        help="a GHC to measure with; may be repeated (default: ghc)")
    parser.add_argument("--ways", type=names_from(WAY_FLAGS), default=list(WAY_FLAGS),
                        help="of vanilla,profiling,dynamic (default: all)")
    parser.add_argument("--modules", type=names_from(MODULES), help="of T,L,J,Y (default: all)")
    parser.add_argument("--runs", type=int, metavar="N", help="runs per figure (default: 5)")
    parser.add_argument("--quick", action="store_true", help="3 runs, modules T and L")
    parser.add_argument("--project", action=argparse.BooleanOptionalAction,
                        help="also build a project of many modules (default: with --write)")
    parser.add_argument("--project-ways", type=names_from(WAY_FLAGS), default=["profiling"],
                        help="ways to build the project in (default: profiling)")
    parser.add_argument("--project-modules", type=int, default=60, metavar="N")
    parser.add_argument("--project-runs", type=int, default=1, metavar="N")
    parser.add_argument("--jobs", type=int, default=2, metavar="N",
                        help="compiles at a time in the project (default: 2)")
    parser.add_argument("--meter", type=Path, metavar="PROGRAM",
                        help="the built meter (default: compile it, with $CXX or c++)")
    parser.add_argument("--check", action="store_true",
                        help="judge the bars, and exit with 1 if one is missed")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    parser.add_argument("--write", nargs="?", type=Path, const=DOCUMENT, metavar="FILE",
                        help="write the document (default: docs/measurements.md)")
    arguments = parser.parse_args()
    arguments.ghc = arguments.ghc or ["ghc"]
    arguments.runs = arguments.runs or (3 if arguments.quick else 5)
    arguments.modules = arguments.modules or (["T", "L"] if arguments.quick else list(MODULES))
    if arguments.project is None:
        arguments.project = arguments.write is not None
    if arguments.check and arguments.iserv is None:
        parser.error("--check needs --iserv")
    return arguments


def our_interpreter(arguments, ghc):
    """Our interpreter for one GHC, as an absolute path: GHC starts it from another directory."""
    if arguments.iserv is None:
        return None
    path = Path(arguments.iserv.replace("{version}", ghc.version)).absolute()
    if not path.exists():
        sys.exit(f"bench.py: no interpreter at {path}")
    return path


def measure_projects(arguments, ghcs, orphans):
    results = []
    for ghc in ghcs if arguments.project else []:
        for way in arguments.project_ways:
            results += measure_project(ghc, way, our_interpreter(arguments, ghc),
                                       arguments.project_modules, arguments.jobs,
                                       arguments.project_runs, orphans)
    return results


def measure_modules(arguments, ghcs, orphans):
    with tempfile.TemporaryDirectory(prefix="splicehost-bench-") as directory:
        meter = arguments.meter or build_meter(HERE / "meter.cc", Path(directory))
        cases = [Case(ghc, way, HERE / "modules" / f"{module}.hs",
                      our_interpreter(arguments, ghc), meter.absolute(), orphans)
                 for ghc in ghcs for way in arguments.ways for module in arguments.modules]
        return measure_all(cases, arguments.runs)


def publish(arguments, measurements, projects, verdicts):
    """Prints or writes what was asked for."""
    if arguments.json:
        print(json.dumps({"machine": dict(describe()),
                          "measurements": [m.as_json() for m in measurements],
                          "projects": [r.as_json() for r in projects]}, indent=1))
    else:
        print(report.as_text(measurements, projects))
    if arguments.write:
        arguments.write.write_text(
            report.as_markdown(measurements, projects, verdicts, describe(), arguments.runs))
        print(f"wrote {arguments.write}", file=sys.stderr)


def main():
    arguments = parse_arguments()
    ghcs = [Ghc(program) for program in arguments.ghc]
    orphans = Orphans()
    measurements = measure_modules(arguments, ghcs, orphans)
    projects = measure_projects(arguments, ghcs, orphans)
    verdicts = judge(measurements)
    publish(arguments, measurements, projects, verdicts)
    if arguments.check:
        print(report.verdict_lines(verdicts) or "no bar could be judged", file=sys.stderr)
    missed = arguments.check and not (verdicts and all(v.met for v in verdicts))
    return 1 if missed or our_failures(measurements) else 0


if __name__ == "__main__":
    sys.exit(main())
