"""What can run the splices of a compile, and the one way to compile with it."""

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .ghc import WAY_FLAGS
from .processes import run

PEER = "ghc-iserv"
IN_PROCESS = "in-process"
OURS_COLD = "splicehost, cold"  # every compile loads everything by itself
OURS_WARM = "splicehost, warm"  # compiles share what they load
OURS_REMOTE = "splicehost, over TCP"  # the same on a target, which this machine plays
OURS = (OURS_COLD, OURS_WARM, OURS_REMOTE)
ALL = (PEER, OURS_COLD, OURS_WARM, IN_PROCESS)  # in what takes long


@dataclass(frozen=True)
class Contender:
    """An external interpreter (without the suffix of the way), or GHC itself."""

    name: str
    interpreter: Path | None
    environment: dict = field(default_factory=dict)
    flags: tuple = ()  # of GHC
    broker: object = None  # through which its compiles share what they load

    @property
    def external(self):
        return self.interpreter is not None

    @property
    def shares(self):
        return self.broker is not None

    def owns(self, program):
        """Whether a process that runs `program` is this contender's doing."""
        if self.name in OURS:
            return self.interpreter.resolve().parents[1] in program.parents
        return self.external and program.name.startswith(self.interpreter.name)


def contenders_for(ghc, way, ours, broker, names, target=None):
    """Those of the contenders called `names` that can take part. All but the GHC and the way may be None."""
    found = []
    peer = ghc.own_interpreter()
    if peer is not None:
        found.append(Contender(PEER, peer))
    if ours is not None:
        found += [Contender(OURS_COLD, ours, {"ISERV_SHARE": "off"}),
                  Contender(OURS_WARM, ours, {"ISERV_SHARE": "on", **broker.environment}, broker=broker)]
    if target is not None:
        found.append(Contender(OURS_REMOTE, ours, target.environment, broker=target.broker))
    flags = ghc.in_process_flags(way)
    if flags is not None:
        found.append(Contender(IN_PROCESS, None, flags=flags))
    return [contender for contender in found if contender.name in names]


class Meter:
    """The meter program under the three names by which GHC calls it, and round_trip beside it."""

    def __init__(self, program, directory, ghc):
        self._ghc = ghc
        self._round_trip = program.resolve().parent / "round_trip"
        self.directory = directory
        self.results = directory / "results"
        for name in ("meter", "meter-prof", "meter-dyn"):
            (directory / name).symlink_to(program)

    def environment(self, contender):
        return {"SPLICEHOST_METER_TARGET": str(contender.interpreter),
                "SPLICEHOST_METER_OUT": str(self.results),
                "SPLICEHOST_METER_GHC": self._ghc.version}

    def take_result(self):
        """What the meter found in the one session since the last call, and what a pipe costs now."""
        lines = self.results.read_text().splitlines()
        self.results.unlink()
        if len(lines) != 1:
            raise RuntimeError(f"the meter measured {len(lines)} sessions instead of one")
        pipe = subprocess.run([self._round_trip], check=True, stdout=subprocess.PIPE).stdout.split()
        return {**json.loads(lines[0]), "pipe_ns": int(pipe[0]), "pipe_one_cpu_ns": int(pipe[1])}


class Compiler:
    """Compiles one module at a time, into a directory of its own."""

    def __init__(self, ghc, way, directory):
        self._ghc = ghc
        self._way = way
        self._directory = directory

    def compile(self, source, contender, meter=None):
        """One `ghc -c`. Package environments and databases of the user play no part."""
        interpreter = meter.directory / "meter" if meter else contender.interpreter
        external = ["-fexternal-interpreter", "-pgmi", str(interpreter)]
        command = [self._ghc.path, "-v0", "-c", str(source),
                   *WAY_FLAGS[self._way],
                   *contender.flags,
                   *(external if contender.external else []),
                   "-package-env=-", "-no-user-package-db",
                   "-fforce-recomp", "-outputdir", str(self._directory)]
        environment = {**os.environ, **contender.environment,
                       **(meter.environment(contender) if meter else {})}
        return run(command, self._directory, environment)
