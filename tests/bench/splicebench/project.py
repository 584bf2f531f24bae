"""A project of many modules, each compiled by a `ghc -c` of its own, some at a time.

This is what Bazel, Buck2 and make do, and where an interpreter that loads everything again for each
module costs most.
"""

import resource
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .broker import NOTHING_SHARED, Broker
from .contenders import ALL, PEER, Compiler, contenders_for
from .measure import first_line, rotated
from .progress import Progress

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

    @property
    def wall(self):
        return statistics.median(self.walls) if self.walls and not self.failure else None

    @property
    def cpu(self):
        return statistics.median(self.cpus) if self.cpus and not self.failure else None

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


def build(ghc, way, sources, contender, jobs, progress):
    """Compiles every module once; returns the wall seconds and what failed, if anything."""
    def compile_one(source):
        progress.step(f"project, {way}: {contender.name}, {source.stem}")
        with tempfile.TemporaryDirectory(prefix="splicehost-bench-") as directory:
            return Compiler(ghc, way, Path(directory)).compile(source, contender)

    start = time.monotonic()
    with ThreadPoolExecutor(jobs) as pool:
        finished = list(pool.map(compile_one, sources))
    wall = time.monotonic() - start
    failures = [first_line(one.output) for one in finished if one.status != 0]
    return wall, failures[0] if failures else ""


def measure_build(ghc, way, ours, sources, result, orphans, progress):
    """One build by the result's contender, if it can take part. Ours that shares starts with nothing.

    The CPU time includes that of the broker and its zygotes, which are ended for that.
    """
    cpu_before = cpu_seconds()
    with Broker(ours, orphans) as broker:
        for contender in contenders_for(ghc, way, ours, broker, [result.contender]):
            wall, failure = build(ghc, way, sources, contender, result.jobs, progress)
            if contender.shares and not broker.runs():
                failure = failure or NOTHING_SHARED
            orphans.settle()
            result.failure = result.failure or failure
            result.walls.append(wall)
    result.cpus.append(cpu_seconds() - cpu_before)


def measure_project(ghc, way, ours, modules, jobs, rounds, orphans):
    """Builds the project with each contender in turn, `rounds` times."""
    results = [ProjectResult(ghc.version, way, name, modules, jobs) for name in ALL]
    progress = Progress(len(ALL) * rounds)
    with tempfile.TemporaryDirectory(prefix="splicehost-bench-") as directory:
        sources = write_modules(Path(directory), modules)
        for name in ALL:  # page cache
            unmeasured = ProjectResult(ghc.version, way, name, 1, 1)
            measure_build(ghc, way, ours, sources[:1], unmeasured, orphans, progress)
        for number in range(rounds):
            for result in rotated(results, number):
                measure_build(ghc, way, ours, sources, result, orphans, progress)
                wall = f"{result.walls[-1]:.1f}" if result.walls else "–"
                progress.done(f"GHC {ghc.version} {way}, {modules} modules, {jobs} at a time: "
                              f"{result.contender} {wall} s, CPU {result.cpus[-1]:.1f} s")
    return [result for result in results if result.walls]


def peer_of(results, result):
    """GHC's own interpreter on the same project."""
    return next((r for r in results if r.contender == PEER and r.ghc == result.ghc
                 and r.way == result.way and not r.failure), None)
