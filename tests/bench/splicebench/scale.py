"""One session that loads many packages and runs code of each: its time and its memory, by their number.

The packages are the first ones of packages.installed_packages, so each size has all of the smaller one,
and what a package needs is among those before it. What a session should cost more for more packages is
what there is more to link: the libraries' size is measured beside it.
"""

import os
import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .broker import NOTHING_SHARED, Broker
from .contenders import OURS_COLD, OURS_WARM, PEER, Compiler, Meter, contenders_for
from .ghc import Ghc
from .measure import COMPILES_BEFORE_WARM, first_line
from .memory import RELEASE, HeldCompile, total_memory
from .packages import closure_of, find_probes, installed_packages, module_text
from .processes import descendants, peak_resident_bytes, program_of
from .progress import Progress

SIZES = (10, 50, 100, 200, 300)
CONTENDERS = (PEER, OURS_COLD, OURS_WARM)

SLOW = 20.0  # seconds: a compile that takes longer is measured once
PATIENCE = 600.0  # seconds until a session has evaluated everything


@dataclass
class ScaleResult:
    """One contender with code of `packages` packages.

    For them it loads `libraries` with `size` bytes, not counting those that every interpreter consists of.
    """

    ghc: str
    way: str
    contender: str
    packages: int
    libraries: int
    size: int
    waits: list = field(default_factory=list)  # seconds
    peak: int = 0  # bytes of the largest process, resident
    total: int = 0  # bytes of all processes at the end of the splice, proportional
    session: int = 0  # by what this grew when the session was started
    failure: str = ""

    @property
    def wait(self):
        return statistics.median(self.waits) if self.waits and not self.failure else None

    @property
    def wait_per_byte(self):
        return None if self.wait is None else self.wait / self.size

    def as_json(self):
        return asdict(self)


@dataclass(frozen=True)
class Step:
    """One size in one way: what to compile, and what that makes an interpreter load."""

    ghc: Ghc
    way: str
    source: Path
    packages: int
    libraries: int
    size: int  # bytes

    def result(self, contender):
        return ScaleResult(self.ghc.version, self.way, contender.name, self.packages, self.libraries,
                           self.size)


def steps_of(ghc, ways, sizes, folder):
    """The steps, those of one way one after the other; the sources are written to the folder."""
    packages = installed_packages(ghc)
    probes = find_probes(ghc, packages, max(sizes))
    if len(probes) < max(sizes):
        raise RuntimeError(f"GHC {ghc.version} has {len(probes)} packages with something to evaluate, "
                           f"not {max(sizes)}: ./setup scale installs more")
    interpreters_own = closure_of([package for package in packages if package.name == "ghci"], packages)
    steps = []
    for way in ways:
        for size in sizes:
            loaded = closure_of([probe.package for probe in probes[:size]], packages)
            files = [path for package in loaded if package not in interpreters_own
                     for path in package.files(way, ghc.version)]
            source = folder / f"Scale{size}.hs"
            source.write_text(module_text(source.stem, probes[:size]))
            steps.append(Step(ghc, way, source, size, len(files),
                              sum(path.stat().st_size for path in files)))
    return steps


def compile_once(step, contender, result, meter=None):
    """One `ghc -c` whose splice does not wait for anything."""
    with tempfile.TemporaryDirectory(prefix="splicehost-bench-") as directory:
        folder = Path(directory)
        (folder / RELEASE).touch()
        finished = Compiler(step.ghc, step.way, folder).compile(step.source, contender, meter)
        if finished.status != 0:
            result.failure = first_line(finished.output)
        elif (count := packages_evaluated(folder)) != step.packages:
            result.failure = f"code of {count} packages was run"


def packages_evaluated(folder):
    """Of how many packages a splice has run code."""
    path = folder / "evaluated"
    return len(path.read_text().splitlines()) if path.exists() else 0


def measure_memory_of(step, contender, result, broker):
    """What is resident when a splice has evaluated everything and still runs; the seconds that it took."""
    before = total_memory(contender)
    with ThreadPoolExecutor(1) as pool:
        held = HeldCompile(step.ghc, step.way, step.source, contender, pool, PATIENCE)
        broker.settle()  # and no orphans: GHC is none
        result.total = total_memory(contender)
        result.session = result.total - before
        result.peak = max((peak_resident_bytes(pid) for pid in descendants(os.getpid())
                           if contender.owns(program_of(pid))), default=0)
        finished = held.release()
        if finished.status != 0:
            result.failure = first_line(finished.output)
        elif not held.holds:
            result.failure = "the splice did not come to its end"
        return finished.wall


def measure_waits(step, contender, result, meter_program, runs, settle):
    with tempfile.TemporaryDirectory(prefix="splicehost-bench-") as directory:
        meter = Meter(meter_program, Path(directory), step.ghc)
        while not result.failure and len(result.waits) < runs:
            compile_once(step, contender, result, meter)
            settle()
            if not result.failure:
                result.waits.append(meter.take_result()["wait_ns"] / 1e9)


def measure_contender(step, contender, result, meter_program, runs, broker, orphans):
    """Memory first: that brings everything into the page cache, too."""
    def settle():
        orphans.settle()
        broker.settle()

    for _ in range(COMPILES_BEFORE_WARM if contender.shares else 0):
        compile_once(step, contender, result)
        settle()
    if not result.failure:
        wall = measure_memory_of(step, contender, result, broker)
        settle()
        measure_waits(step, contender, result, meter_program, runs if wall < SLOW else 1, settle)


def measure_step(step, ours, meter_program, runs, orphans, progress):
    """All contenders with one size in one way."""
    results = []
    with Broker(ours, orphans) as broker:
        for contender in contenders_for(step.ghc, step.way, ours, broker, CONTENDERS):
            result = step.result(contender)
            progress.step(f"{step.source.stem}, {step.way}: {contender.name}")
            measure_contender(step, contender, result, meter_program, runs, broker, orphans)
            if contender.shares and not broker.runs():
                result.failure = result.failure or NOTHING_SHARED
            results.append(result)
    waits = ", ".join(f"{r.contender} {r.failure or f'{r.wait:.2f} s, {r.total / 1e6:.0f} MB'}"
                      for r in results)
    progress.done(f"GHC {step.ghc.version} {step.way}, {step.packages} packages: {waits}")
    return results


def measure_scale(ghc, ways, ours, meter_program, sizes, runs, orphans):
    """The results for each of the sizes in each of the ways."""
    with tempfile.TemporaryDirectory(prefix="splicehost-bench-") as directory:
        steps = steps_of(ghc, ways, sizes, Path(directory))
        progress = Progress(len(steps))
        return [result for step in steps
                for result in measure_step(step, ours, meter_program, runs, orphans, progress)]
