"""A project of many modules, each compiled by a `ghc -c` of its own, some at a time.

This is what Bazel, Buck2 and make do, and where an interpreter that loads everything again for each
module costs most.
"""

import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .contenders import PEER, Compiler, contenders_for
from .measure import first_line, rotated

MODULE = """{{-# LANGUAGE TemplateHaskell #-}}
module Part{number:02} where

import Control.Lens (makeLenses)

data Item{number} = Item{number} {{_label{number} :: String, _price{number} :: Int}}

data Order{number} = Order{number} {{_items{number} :: [Item{number}], _buyer{number} :: String}}

data Shop{number} = Shop{number} {{_orders{number} :: [Order{number}], _owner{number} :: String}}

makeLenses ''Item{number}
makeLenses ''Order{number}
makeLenses ''Shop{number}
"""


@dataclass
class ProjectResult:
    """One contender building the whole project: seconds of wall time and of CPU time per build."""

    ghc: str
    way: str
    contender: str
    modules: int
    jobs: int
    walls: list = field(default_factory=list)
    cpus: list = field(default_factory=list)
    failure: str = ""

    def as_json(self):
        return asdict(self)


def write_modules(directory, count):
    """Generates the modules of the project."""
    sources = []
    for number in range(count):
        source = directory / f"Part{number:02}.hs"
        source.write_text(MODULE.format(number=number))
        sources.append(source)
    return sources


def cpu_seconds():
    """The CPU time of every process that this one has waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def build(ghc, way, sources, contender, jobs, orphans):
    """Compiles every module once; returns wall and CPU seconds and what failed, if anything."""
    def compile_one(source):
        with tempfile.TemporaryDirectory(prefix="splicehost-bench-") as directory:
            return Compiler(ghc, way, Path(directory)).compile(source, contender)

    start, cpu_before = time.monotonic(), cpu_seconds()
    with ThreadPoolExecutor(jobs) as pool:
        finished = list(pool.map(compile_one, sources))
    wall = time.monotonic() - start
    orphans.settle()
    failures = [first_line(one.output) for one in finished if one.status != 0]
    return wall, cpu_seconds() - cpu_before, failures[0] if failures else ""


def measure_project(ghc, way, ours, modules, jobs, rounds, orphans):
    """Builds the project with each contender in turn, `rounds` times."""
    with tempfile.TemporaryDirectory(prefix="splicehost-bench-") as directory:
        sources = write_modules(Path(directory), modules)
        contenders = contenders_for(ghc, way, ours)
        results = {c.name: ProjectResult(ghc.version, way, c.name, modules, jobs)
                   for c in contenders}
        for contender in contenders:  # page cache
            build(ghc, way, sources[:1], contender, 1, orphans)
        for number in range(rounds):
            for contender in rotated(contenders, number):
                result = results[contender.name]
                wall, cpu, failure = build(ghc, way, sources, contender, jobs, orphans)
                result.failure = result.failure or failure
                result.walls.append(wall)
                result.cpus.append(cpu)
                print(f"GHC {ghc.version} {way}, {modules} modules, {jobs} at a time: "
                      f"{contender.name} {wall:.1f} s", file=sys.stderr)
    return list(results.values())


def peer_of(results, result):
    """GHC's own interpreter on the same project."""
    return next((r for r in results if r.contender == PEER and r.ghc == result.ghc
                 and r.way == result.way and not r.failure), None)
