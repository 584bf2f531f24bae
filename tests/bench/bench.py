#!/usr/bin/env python3
"""Measures what external interpreters cost a compile: GHC's own, ours, and GHC itself.

For every GHC, way and module, the contenders are run in turn; the interpreter wait (see meter.cc)
and the whole `ghc -c` are reported as medians, with the ratio to GHC's own ghc-iserv. What can be
measured, and chosen with --only:

  cold      ours with nothing shared between compiles
  warm      ours with sharing, from the third compile on
  turns     the time of single turns, with sharing (part of warm; alone, whole compiles are left out)
  remote    as warm, with the interpreters on a target: this machine, over TCP
  memory    what each of several sessions at the same time adds
  project   a project of many modules, one `ghc -c` each
  scale     a session that loads hundreds of packages; only if asked for, since ./setup scale installs them

  bench.py --iserv build/ghc-9.0.2/iserv            a table of everything
  bench.py --iserv build/ghc-9.0.2/iserv --quick    a first impression, in a minute
  bench.py --iserv ... --only warm --modules L --ways vanilla --runs 1
  bench.py --iserv ... --check                      exits with 1 if a bar is missed, and counts them last
  bench.py --iserv ... --write                      puts what it measures into docs/measurements.md
"""

import argparse
import json
import os
import sys
from pathlib import Path

from splicebench import report
from splicebench.bars import judge, judge_memory, judge_projects, judge_scale
from splicebench.contenders import IN_PROCESS, OURS_COLD, OURS_REMOTE, OURS_WARM, PEER
from splicebench.ghc import WAY_FLAGS, Ghc
from splicebench.machine import describe
from splicebench.measure import Case, measure_all, our_failures
from splicebench.memory import measure_memory
from splicebench.processes import Orphans
from splicebench.project import measure_project
from splicebench.scale import SIZES, measure_scale

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "docs" / "measurements.md"
MODULES = ("T", "L", "J", "Y")

# Who takes part in what is measured module by module.
CONTENDERS = {"cold": (PEER, OURS_COLD, IN_PROCESS), "warm": (PEER, OURS_WARM, IN_PROCESS),
              "turns": (PEER, OURS_WARM), "remote": (OURS_WARM, OURS_REMOTE)}
BY_DEFAULT = (*CONTENDERS, "memory", "project")
PARTS = (*BY_DEFAULT, "scale")


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


def sizes(text):
    """An argument type: numbers with commas between them, in ascending order."""
    return sorted({int(word) for word in text.split(",")})


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
    parser.add_argument("--quick", action="store_true",
                        help="3 runs, modules T and L, without remote, memory and project")
    parser.add_argument("--only", type=names_from(PARTS), metavar="PARTS",
                        help="of cold,warm,turns,remote,memory,project,scale (default: all but scale)")
    parser.add_argument("--sessions", type=int, default=4, metavar="N",
                        help="sessions at the same time, for their memory (default: 4)")
    parser.add_argument("--project-ways", type=names_from(WAY_FLAGS), default=["profiling"],
                        help="ways to build the project in (default: profiling)")
    parser.add_argument("--project-modules", type=int, default=60, metavar="N")
    parser.add_argument("--project-runs", type=int, default=1, metavar="N")
    parser.add_argument("--scale-sizes", type=sizes, default=list(SIZES), metavar="N,N...",
                        help="numbers of packages (default: 10,50,100,200,300)")
    parser.add_argument("--scale-runs", type=int, default=3, metavar="N",
                        help="runs per number of packages, if they are not slow (default: 3)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N",
                        help="compiles at a time in the project (default: 2)")
    parser.add_argument("--meter", type=Path, metavar="PROGRAM",
                        help="the built meter (default: that of the build folder that --iserv is in)")
    parser.add_argument("--check", action="store_true",
                        help="judge the bars, and exit with 1 if one is missed")
    parser.add_argument("--quiet-machine", action="store_true",
                        help="nothing else runs here: judge absolute times, too")
    parser.add_argument("--json", action="store_true", help="print every figure as JSON")
    parser.add_argument("--write", nargs="?", type=Path, const=DOCUMENT, metavar="FILE",
                        help="write the document (default: docs/measurements.md)")
    arguments = parser.parse_args()
    arguments.ghc = arguments.ghc or ["ghc"]
    arguments.runs = arguments.runs or (3 if arguments.quick else 5)
    arguments.modules = arguments.modules or (["T", "L"] if arguments.quick else list(MODULES))
    arguments.only = arguments.only or (["cold", "warm", "turns"] if arguments.quick else list(BY_DEFAULT))
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


def meter_program(arguments, ghc):
    """The meter that was named, or that was built with our interpreter."""
    ours = our_interpreter(arguments, ghc)
    path = arguments.meter or (ours and ours.parents[1] / "tests" / "bench" / "meter")
    if path is None or not path.exists():
        sys.exit(f"bench.py: no meter at {path}: say --meter BUILD/tests/bench/meter")
    return path.absolute()


def measure_modules(arguments, ghcs, orphans):
    parts = [part for part in CONTENDERS if part in arguments.only]
    if not parts:
        return []
    names = {name for part in parts for name in CONTENDERS[part]}
    cases = [Case(ghc, way, HERE / "modules" / f"{module}.hs", our_interpreter(arguments, ghc),
                  meter_program(arguments, ghc), orphans)
             for ghc in ghcs for way in arguments.ways for module in arguments.modules]
    return measure_all(cases, names, parts != ["turns"], arguments.runs)


def measure_memories(arguments, ghcs, orphans):
    return [result for ghc in ghcs for way in arguments.ways
            for result in measure_memory(ghc, way, HERE / "modules" / "H.hs",
                                         our_interpreter(arguments, ghc), arguments.sessions, orphans)]


def measure_projects(arguments, ghcs, orphans):
    return [result for ghc in ghcs for way in arguments.project_ways
            for result in measure_project(ghc, way, our_interpreter(arguments, ghc),
                                          arguments.project_modules, arguments.jobs,
                                          arguments.project_runs, orphans)]


def measure_scales(arguments, ghcs, orphans):
    return [result for ghc in ghcs
            for result in measure_scale(ghc, arguments.ways, our_interpreter(arguments, ghc),
                                        meter_program(arguments, ghc), arguments.scale_sizes,
                                        arguments.scale_runs, orphans)]


def publish(arguments, results, verdicts):
    """Prints or writes what was asked for."""
    if arguments.json:
        print(json.dumps({"machine": dict(describe()), **results.as_json()}, indent=1))
    else:
        print(report.as_text(results))
    if arguments.write:
        before = arguments.write.read_text() if arguments.write.exists() else ""
        runs = arguments.scale_runs if arguments.only == ["scale"] else arguments.runs
        arguments.write.write_text(report.as_markdown(results, verdicts, describe(), runs, before))
        print(f"wrote {arguments.write}", file=sys.stderr)


def main():
    arguments = parse_arguments()
    ghcs = [Ghc(program) for program in arguments.ghc]
    orphans = Orphans()
    results = report.Results(measure_modules(arguments, ghcs, orphans))
    if "memory" in arguments.only:
        results.memory = measure_memories(arguments, ghcs, orphans)
    if "project" in arguments.only:
        results.projects = measure_projects(arguments, ghcs, orphans)
    if "scale" in arguments.only:
        results.scale = measure_scales(arguments, ghcs, orphans)
    verdicts = (judge(results.measurements, arguments.quiet_machine) + judge_memory(results.memory)
                + judge_projects(results.projects) + judge_scale(results.scale))
    publish(arguments, results, verdicts)
    failures = our_failures(results.measurements)
    if verdicts:
        print(report.verdict_lines(verdicts), file=sys.stderr)
    if arguments.check:
        met = sum(v.met for v in verdicts)
        # Where nothing could be judged, nothing was shown to hold.
        missed = len(verdicts) - met + len(failures) or int(not verdicts)
        if not verdicts:
            print("no bar could be judged", file=sys.stderr)
        print(f"{met} passed, {missed} failed", file=sys.stderr)
        return 1 if missed else 0
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
