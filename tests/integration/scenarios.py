"""GHCi sessions written down in `ghci/*.script`: what is typed, and what must come of it.

A script is what a user types, with comments that the test understands:

  -- | text                 what the session shows (the first line)
  -- flags: ...             further flags of GHC
  -- files: A.hs B.hs       files of `ghci/` to put into the working directory
  -- c: a.c                 C sources; their objects are given on GHC's command line
  -- stdin: file            what statements read; the script is then passed by -ghci-script
  -- ways: profiling        the only ways in which the session makes sense
  -- peer-fails: reason     what GHC's own interpreter gets wrong; then its session is no measure
  -- expect: line           a line of standard output, after the ones expected before
  -- expect-containing: x   the same for a part of a line
  -- expect-error: line     a line of standard error, after the ones expected before
  -- expect-error-containing: x
"""

import dataclasses
import pathlib
import re

from support import Way

DIRECTORY = pathlib.Path(__file__).resolve().parent / "ghci"
DIRECTIVE = re.compile(r"-- ([\w-]+): (.*)")


@dataclasses.dataclass(frozen=True)
class Expectation:
    """A line that one of the two outputs must have."""

    on_stderr: bool
    whole_line: bool
    text: str

    def matches(self, line):
        return line == self.text if self.whole_line else self.text in line


@dataclasses.dataclass(frozen=True)
class Scenario:
    """One scripted session."""

    name: str
    typed: str
    flags: tuple
    files: tuple
    c_sources: tuple
    stdin: str
    ways: tuple
    peer_fails: bool
    expectations: tuple

    def missing(self, stdout, stderr):
        """The first expectation that the outputs do not meet, or None."""
        for on_stderr, text in ((False, stdout), (True, stderr)):
            lines = iter(text.splitlines())
            for expected in self.expectations:
                if expected.on_stderr == on_stderr and not any(map(expected.matches, lines)):
                    return expected
        return None


EXPECTATIONS = {
    "expect": (False, True),
    "expect-containing": (False, False),
    "expect-error": (True, True),
    "expect-error-containing": (True, False),
}


def load(path):
    """Reads one script."""
    settings = {"flags": (), "files": (), "c": (), "stdin": (), "ways": (), "peer-fails": ()}
    expectations, typed = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        directive = DIRECTIVE.fullmatch(line)
        if not directive:
            typed += [] if line.startswith("-- |") else [line]
        elif directive[1] in EXPECTATIONS:
            expectations.append(Expectation(*EXPECTATIONS[directive[1]], directive[2]))
        else:
            settings[directive[1]] += tuple(directive[2].split())
    if not expectations:
        raise ValueError(f"{path}: expects nothing")
    return Scenario(path.stem, "\n".join(typed) + "\n", settings["flags"], settings["files"],
                    settings["c"], "".join(settings["stdin"]), settings["ways"],
                    bool(settings["peer-fails"]), tuple(expectations))


@dataclasses.dataclass(frozen=True)
class Session:
    """A scenario in one way."""

    scenario: Scenario
    way: Way

    @property
    def name(self):
        return f"{self.scenario.name}_{self.way.name}"


def sessions(ways):
    """All scripts in each of the ways in which they make sense."""
    found = [load(path) for path in sorted(DIRECTORY.glob("*.script"))]
    return [Session(scenario, way) for scenario in found for way in ways
            if not scenario.ways or way.name in scenario.ways]
