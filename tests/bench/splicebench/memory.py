"""What sessions that run at the same time cost in memory.

Memory is the proportional set size: summed over processes, it counts a page that they share once. What
one more session costs is what the sum over all processes that are there because of the interpreter
(front ends, broker, zygotes, sessions) grows by.
"""

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .broker import NOTHING_SHARED, Broker
from .contenders import OURS_WARM, PEER, Compiler, contenders_for
from .measure import COMPILES_BEFORE_WARM, first_line
from .processes import descendants, program_of, proportional_bytes
from .progress import Progress

# A splice of the module says here that it runs, and then reads that until it ends.
HOLDING = "holding"
RELEASE = "release"

PATIENCE = 60.0  # seconds until a session has come to its splice
REST = 0.3  # seconds in which processes that have just been started come to rest


@dataclass
class MemoryResult:
    """One contender: bytes with no session, one, two and so on."""

    ghc: str
    way: str
    contender: str
    totals: list = field(default_factory=list)
    failure: str = ""

    @property
    def first(self):
        """What the first session adds."""
        return self.totals[1] - self.totals[0] if len(self.totals) > 1 else None

    @property
    def further(self):
        """What each session after the first adds."""
        return [after - before for before, after in zip(self.totals[1:], self.totals[2:])]

    def as_json(self):
        return asdict(self)


class HeldCompile:
    """A compile that stops in a splice until it is released."""

    def __init__(self, ghc, way, source, contender, pool, patience=PATIENCE):
        self._directory = tempfile.TemporaryDirectory(prefix="splicehost-bench-")
        folder = Path(self._directory.name)
        os.mkfifo(folder / RELEASE)
        self._release = os.open(folder / RELEASE, os.O_RDWR)  # so that its reader sees no end
        self._finished = pool.submit(Compiler(ghc, way, folder).compile, source, contender)
        deadline = time.monotonic() + patience
        while not (folder / HOLDING).exists() and not self._finished.done():
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        self.holds = (folder / HOLDING).exists()

    def release(self):
        """Lets it end; returns how it ended."""
        os.close(self._release)
        finished = self._finished.result()
        self._directory.cleanup()
        return finished


def compile_unheld(ghc, way, source, contender):
    with tempfile.TemporaryDirectory(prefix="splicehost-bench-") as directory:
        (Path(directory) / RELEASE).touch()
        Compiler(ghc, way, Path(directory)).compile(source, contender)


def total_memory(contender):
    return sum(proportional_bytes(pid) for pid in descendants(os.getpid())
               if contender.owns(program_of(pid)))


def measure_contender(ghc, way, source, contender, broker, sessions, orphans, progress):
    """Starts one session after the other; all stay until the last is measured."""
    result = MemoryResult(ghc.version, way, contender.name)
    label = f"GHC {ghc.version} {way}, memory: {contender.name}"
    progress.step(f"{label}, warming up")
    for _ in range(COMPILES_BEFORE_WARM if contender.shares else 1):
        compile_unheld(ghc, way, source, contender)
        orphans.settle()
        broker.settle()
    if contender.shares and not broker.runs():
        result.failure = NOTHING_SHARED
    result.totals.append(total_memory(contender))
    held = []
    with ThreadPoolExecutor(sessions) as pool:
        while len(held) < sessions and not result.failure:
            progress.step(f"{label}, session {len(held) + 1} of {sessions}")
            one = HeldCompile(ghc, way, source, contender, pool)
            held.append(one)
            if not one.holds:
                result.failure = "a splice did not start"
            broker.settle()
            time.sleep(REST)
            result.totals.append(total_memory(contender))
        for one in held:
            finished = one.release()
            if finished.status != 0:
                result.failure = first_line(finished.output)
    orphans.settle()
    progress.done(f"{label}: {', '.join(f'{total / 1e6:.1f}' for total in result.totals)} MB")
    return result


def measure_memory(ghc, way, source, ours, sessions, orphans):
    """The memory of up to `sessions` sessions at a time, with GHC's own interpreter and with ours."""
    with Broker(ours, orphans) as broker:
        contenders = contenders_for(ghc, way, ours, broker, (PEER, OURS_WARM))
        progress = Progress(len(contenders))
        return [measure_contender(ghc, way, source, contender, broker, sessions, orphans, progress)
                for contender in contenders]
