"""The bars: what must hold, as ratios of medians of the same run.

Absolute times depend on the machine; the ratio to GHC's own interpreter hardly does.
"""

from dataclasses import dataclass

from .contenders import OURS_COLD, PEER

# The interpreter wait for makeLenses with nothing shared, as a part of ghc-iserv's, for each way.
COLD_WAIT_MODULE = "L"
COLD_WAIT_LIMITS = {"vanilla": 0.7, "profiling": 0.7, "dynamic": 1.0}

# A whole `ghc -c` is never slower than with ghc-iserv.
WHOLE_COMPILE_LIMIT = 1.0


@dataclass(frozen=True)
class Verdict:
    """One bar, and what was measured; None if it could not be measured."""

    what: str
    limit: float
    measured: float | None

    @property
    def met(self):
        return self.measured is not None and self.measured <= self.limit


def ratio(part, whole):
    """part/whole, or None if either is missing."""
    return None if part is None or not whole else part / whole


def judge(measurements):
    """The verdicts on every case in which both ours and GHC's own interpreter took part."""
    peers = {(m.ghc, m.way, m.module): m for m in measurements if m.contender == PEER}
    verdicts = []
    for ours in measurements:
        peer = peers.get((ours.ghc, ours.way, ours.module))
        if ours.contender != OURS_COLD or peer is None or peer.failure:
            continue
        case = f"GHC {ours.ghc} {ours.way} {ours.module}"
        if ours.module == COLD_WAIT_MODULE:
            verdicts.append(Verdict(f"{case}: cold interpreter wait", COLD_WAIT_LIMITS[ours.way],
                                    ratio(ours.wait, peer.wait)))
        verdicts.append(Verdict(f"{case}: cold whole ghc -c", WHOLE_COMPILE_LIMIT,
                                ratio(ours.wall, peer.wall)))
    return verdicts
