"""The bars: what must hold, mostly as ratios of medians of the same run.

Absolute times depend on the machine; the ratio to GHC's own interpreter hardly does.
"""

from dataclasses import dataclass

from .contenders import IN_PROCESS, OURS_COLD, OURS_REMOTE, OURS_WARM, PEER
from .measure import LOADS
from .project import peer_of

# The interpreter wait for makeLenses with nothing shared, as a part of ghc-iserv's, for each way.
COLD_WAIT_MODULE = "L"
COLD_WAIT_LIMITS = {"vanilla": 0.7, "profiling": 0.7, "dynamic": 1.0}

# The interpreter of GHC 9.10 links objects in quadratic time, so more is asked for of ours.
COLD_WAIT_OF_GHC = {("9.10.3", "vanilla", "T"): 1 / 10, ("9.10.3", "profiling", "T"): 1 / 10}
WARM_WAIT_OF_GHC = {("9.10.3", "vanilla", "L"): 1 / 100}

# A whole `ghc -c` is never slower than with ghc-iserv.
WHOLE_COMPILE_LIMIT = 1.0

# With sharing: makeLenses and deriveJSON.
WARM_MODULES = ("L", "J")
WARM_WAIT_LIMITS = {"vanilla": 1 / 25, "profiling": 1 / 25, "dynamic": 1 / 5}  # of ghc-iserv's
WARM_WAIT_MILLISECONDS = 20.0  # on a quiet machine
WARM_WHOLE_WAYS = ("vanilla",)
WARM_WHOLE_LIMIT = 1.0  # of the in-process interpreter's
LOAD_MICROSECONDS = 30.0

# Over TCP, on the loopback interface.
REMOTE_LIMIT = 1.5  # of the local wait

PROJECT_WAYS = ("profiling",)
PROJECT_LIMIT = 0.5  # of ghc-iserv's wall time

SESSION_MEGABYTES = 12.0

# With three times the packages, more than six times the code. A megabyte of it takes somewhat longer, since tables
# of symbols outgrow the processor's caches; with quadratic linking it would take six times as long.
SCALE_FROM, SCALE_TO = 100, 300
SCALE_LIMIT = 2.0
SCALE_PEAK_LIMIT = 1.0  # of ghc-iserv's
SCALE_WAYS = ("vanilla", "profiling")  # the dynamic way links by the system's loader


@dataclass(frozen=True)
class Verdict:
    """One bar, and what was measured; None if it could not be measured."""

    what: str
    limit: float
    measured: float | None
    unit: str = "of ghc-iserv's"

    @property
    def met(self):
        return self.measured is not None and self.measured <= self.limit


def ratio(part, whole):
    """part/whole, or None if either is missing."""
    return None if part is None or not whole else part / whole


def scaled(value, scale):
    return None if value is None else value * scale


def judge_cold(case, ours, peer):
    limit = COLD_WAIT_OF_GHC.get((ours.ghc, ours.way, ours.module),
                                 COLD_WAIT_LIMITS[ours.way] if ours.module == COLD_WAIT_MODULE else None)
    if limit is not None:
        yield Verdict(f"{case}: cold interpreter wait", limit, ratio(ours.wait, peer.wait))
    yield Verdict(f"{case}: cold whole ghc -c", WHOLE_COMPILE_LIMIT, ratio(ours.wall, peer.wall))


def judge_warm(case, ours, peer, in_process, quiet_machine):
    limit = WARM_WAIT_OF_GHC.get((ours.ghc, ours.way, ours.module), WARM_WAIT_LIMITS[ours.way])
    yield Verdict(f"{case}: warm interpreter wait", limit, ratio(ours.wait, peer.wait))
    if quiet_machine:
        yield Verdict(f"{case}: warm interpreter wait", WARM_WAIT_MILLISECONDS,
                      scaled(ours.wait, 1e3), "ms")
    if ours.way in WARM_WHOLE_WAYS and in_process is not None and in_process.wall:
        yield Verdict(f"{case}: warm whole ghc -c", WARM_WHOLE_LIMIT,
                      ratio(ours.wall, in_process.wall), "of in-process's")
    yield Verdict(f"{case}: a recorded load operation", LOAD_MICROSECONDS,
                  scaled(ours.turn_median(LOADS), 1e6), "µs")


def judge_remote(case, ours, local):
    yield Verdict(f"{case}: warm interpreter wait over TCP", REMOTE_LIMIT, ratio(ours.wait, local.wait),
                  "of local sharing's")


def judge(measurements, quiet_machine=False):
    """The verdicts on every case in which ours took part with what it is compared with."""
    found = {(m.ghc, m.way, m.module, m.contender): m for m in measurements}
    verdicts = []
    for ours in measurements:
        of_case = (ours.ghc, ours.way, ours.module)
        peer = found.get((*of_case, PEER))
        case = f"GHC {ours.ghc} {ours.way} {ours.module}"
        local = found.get((*of_case, OURS_WARM))
        if ours.contender == OURS_REMOTE and local is not None:
            verdicts += judge_remote(case, ours, local)
        if peer is None or peer.failure:
            continue
        if ours.contender == OURS_COLD:
            verdicts += judge_cold(case, ours, peer)
        if ours.contender == OURS_WARM and ours.module in WARM_MODULES:
            in_process = found.get((*of_case, IN_PROCESS))
            verdicts += judge_warm(case, ours, peer, in_process, quiet_machine)
    return verdicts


def judge_memory(results):
    return [Verdict(f"GHC {r.ghc} {r.way}: each further session", SESSION_MEGABYTES,
                    None if r.failure or not r.further else max(r.further) / 1e6, "MB")
            for r in results if r.contender == OURS_WARM]


def judge_projects(results):
    return [Verdict(f"GHC {r.ghc} {r.way}: project of {r.modules} modules", PROJECT_LIMIT,
                    ratio(r.wall, peer_of(results, r).wall))
            for r in results
            if r.contender == OURS_WARM and r.way in PROJECT_WAYS and peer_of(results, r)]


def judge_scale(results):
    """Whether the time for a megabyte of code stays what it is when there is more code, and the memory."""
    found = {(r.ghc, r.way, r.packages, r.contender): r for r in results}
    verdicts = []
    for r in results:
        fewer = found.get((r.ghc, r.way, SCALE_FROM, OURS_COLD))
        peer = found.get((r.ghc, r.way, r.packages, PEER))
        case = f"GHC {r.ghc} {r.way}"
        if r.contender != OURS_COLD or r.way not in SCALE_WAYS:
            continue
        if r.packages == SCALE_TO and fewer is not None:
            verdicts.append(Verdict(f"{case}: a megabyte of {r.packages} packages", SCALE_LIMIT,
                                    ratio(r.wait_per_byte, fewer.wait_per_byte),
                                    f"of one of {SCALE_FROM} packages"))
        if r.packages >= SCALE_FROM and peer is not None and not peer.failure:
            verdicts.append(Verdict(f"{case}: peak memory with {r.packages} packages", SCALE_PEAK_LIMIT,
                                    ratio(r.peak, peer.peak)))
    return verdicts
