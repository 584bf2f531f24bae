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
OURS_COLD = "splicehost, cold"


@dataclass(frozen=True)
class Contender:
    """An external interpreter (without the suffix of the way), or GHC itself."""

    name: str
    interpreter: Path | None
    environment: dict = field(default_factory=dict)

    @property
    def external(self):
        return self.interpreter is not None


def contenders_for(ghc, way, ours):
    """Everything that can take part for a GHC and a way. `ours` may be None."""
    found = []
    peer = ghc.own_interpreter()
    if peer is not None:
        found.append(Contender(PEER, peer))
    if ours is not None:
        found.append(Contender(OURS_COLD, ours, {"ISERV_SHARE": "off"}))
    if ghc.interprets_in_process(way):
        found.append(Contender(IN_PROCESS, None))
    return found


class Meter:
    """The meter program under the three names by which GHC calls it."""

    def __init__(self, program, directory):
        self.directory = directory
        self.results = directory / "results"
        for name in ("meter", "meter-prof", "meter-dyn"):
            (directory / name).symlink_to(program)

    def environment(self, contender):
        return {"SPLICEHOST_METER_TARGET": str(contender.interpreter),
                "SPLICEHOST_METER_OUT": str(self.results)}

    def take_result(self):
        """What the meter found in the one session since the last call."""
        lines = self.results.read_text().splitlines()
        self.results.unlink()
        if len(lines) != 1:
            raise RuntimeError(f"the meter measured {len(lines)} sessions instead of one")
        return json.loads(lines[0])


def build_meter(source, directory):
    """Compiles the meter, for a run that was not told where one is."""
    program = directory / "meter-program"
    compiler = os.environ.get("CXX", "c++")
    subprocess.run([compiler, "-std=c++20", "-O2", "-static", source, "-o", program], check=True)
    return program


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
                   *(external if contender.external else []),
                   "-package-env=-", "-no-user-package-db",
                   "-fforce-recomp", "-outputdir", str(self._directory)]
        environment = {**os.environ, **contender.environment,
                       **(meter.environment(contender) if meter else {})}
        return run(command, self._directory, environment)
