"""Measures contenders side by side.

Absolute times drift by half on a busy or throttled machine, so what is compared is measured in the
same minute: every round runs each contender once, in an order that changes from round to round, and
the medians over the rounds are compared.
"""

import statistics
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from .broker import NOTHING_SHARED, Broker
from .contenders import OURS, OURS_REMOTE, Compiler, Meter, contenders_for
from .ghc import Ghc
from .processes import Orphans
from .progress import Progress
from .target import Target

# With sharing, the third compile is the first that finds everything ready.
COMPILES_BEFORE_WARM = 2

# The kinds of turns, named as the meter does, that a broker has answers for; and those that have the
# same answer everywhere.
LOADS = ("initLinker", "loadDll", "loadArchive", "loadObj", "resolveObjs")
SEARCHES = ("addLibrarySearchPath", "findSystemLibrary")


@dataclass
class Measurement:
    """One contender on one module in one way: a list with one figure per round."""

    ghc: str
    way: str
    module: str
    contender: str
    walls: list = field(default_factory=list)  # seconds, whole `ghc -c`, without the meter
    metered: list = field(default_factory=list)  # what the meter wrote, for external interpreters
    failure: str = ""  # why it could not be measured

    @property
    def wall(self):
        return statistics.median(self.walls) if self.walls else None

    def meter_median(self, key):
        return statistics.median(run[key] for run in self.metered) if self.metered else None

    @property
    def wait(self):
        nanoseconds = self.meter_median("wait_ns")
        return None if nanoseconds is None else nanoseconds / 1e9

    def turn_median(self, kinds=None):
        """Seconds of the median over all turns of some kinds (default: all) in all runs."""
        turns = [turn for run in self.metered for kind, times in run["turns_ns"].items()
                 if kinds is None or kind in kinds for turn in times]
        return statistics.median(turns) / 1e9 if turns else None

    def typical_run(self):
        """What the meter wrote in the run with the median wait."""
        return sorted(self.metered, key=lambda run: run["wait_ns"])[(len(self.metered) - 1) // 2]

    def as_json(self):
        return {"ghc": self.ghc, "way": self.way, "module": self.module,
                "contender": self.contender, "failure": self.failure,
                "wait_s": self.wait, "wall_s": self.wall,
                "walls_s": self.walls, "metered": self.metered}


def first_line(text):
    """The line of a compiler's output that says what went wrong, more or less."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2])[:200] or "no message"


class Rig:
    """What one module is measured with: a folder for its objects, and the meter."""

    def __init__(self, case, folder):
        self._case = case
        for name in ("objects", "meter"):
            (folder / name).mkdir()
        self._compiler = Compiler(case.ghc, case.way, folder / "objects")
        self._meter = Meter(case.meter_program, folder / "meter", case.ghc)

    def warm_up(self, contender):
        """Brings everything into the page cache, has shared what is shared, finds out what works."""
        case = self._case
        measurement = Measurement(case.ghc.version, case.way, case.source.stem, contender.name)
        for _ in range(COMPILES_BEFORE_WARM if contender.shares else 1):
            self._compile(measurement, contender)
        if contender.shares and not contender.broker.runs():
            measurement.failure = measurement.failure or NOTHING_SHARED
        return measurement

    def run_once(self, contender, measurement, whole):
        """The whole compile without the meter, and the wait with it.

        In two compiles, because the meter lengthens the compile by two copies of every message,
        which would count against external interpreters in the comparison with GHC's own.
        """
        if whole and not measurement.failure:
            measurement.walls.append(self._compile(measurement, contender))
        if not measurement.failure and contender.external:
            self._compile(measurement, contender, self._meter)
            measurement.metered.append(self._meter.take_result())

    def _compile(self, measurement, contender, meter=None):
        """Compiles and leaves a quiet machine behind; returns the wall time of the compile."""
        finished = self._compiler.compile(self._case.source, contender, meter)
        self._case.orphans.settle()
        if contender.shares:
            contender.broker.settle()
        if finished.status != 0:
            measurement.failure = first_line(finished.output)
        return finished.wall


@dataclass(frozen=True)
class Case:
    """One module, compiled by one GHC in one way, with what can run its splices."""

    ghc: Ghc
    way: str
    source: Path
    ours: Path | None
    meter_program: Path
    orphans: Orphans

    @property
    def label(self):
        return f"GHC {self.ghc.version} {self.way} {self.source.stem}"

    def measure(self, names, whole, rounds, progress):
        """Measures the contenders called `names`: the wait, and if `whole` the whole compile too."""
        with (tempfile.TemporaryDirectory(prefix="splicehost-bench-") as directory,
              Broker(self.ours, self.orphans) as broker,
              Target(self.ours, self.orphans) if self.ours and OURS_REMOTE in names else nullcontext() as target):
            rig = Rig(self, Path(directory))
            contenders = contenders_for(self.ghc, self.way, self.ours, broker, names, target)
            measured = {}
            for contender in contenders:
                progress.step(f"{self.label}: {contender.name}, warming up")
                measured[contender.name] = rig.warm_up(contender)
            for number in range(rounds):
                for contender in rotated(contenders, number):
                    progress.step(f"{self.label}: {contender.name}, run {number + 1} of {rounds}")
                    rig.run_once(contender, measured[contender.name], whole)
        return list(measured.values())


def rotated(items, number):
    """The items, begun with another one each time."""
    start = number % max(len(items), 1)
    return items[start:] + items[:start]


def measure_all(cases, names, whole, rounds):
    """All measurements of all cases: see Case.measure."""
    progress = Progress(len(cases))
    measurements = []
    for case in cases:
        found = case.measure(names, whole, rounds, progress)
        measurements += found
        progress.done(f"{case.label}: {summary(found)}")
    return measurements


def summary(measurements):
    """The waits of one case in a line."""
    parts = []
    for m in measurements:
        if m.failure:
            parts.append(f"{m.contender} failed")
        elif m.wait is not None:
            parts.append(f"{m.contender} waits {m.wait * 1e3:.1f} ms")
    return ", ".join(parts)


def our_failures(measurements):
    """Where ours failed although something else managed."""
    managed = {(m.ghc, m.way, m.module) for m in measurements if not m.failure}
    return [m for m in measurements
            if m.contender in OURS and m.failure and (m.ghc, m.way, m.module) in managed]
