"""A GHC to measure with: its version, its ways, its own external interpreter."""

import ast
import shutil
import subprocess
from pathlib import Path

# The flag that selects a way, and so the interpreter that GHC starts: PROG, PROG-prof, PROG-dyn.
WAY_FLAGS = {"vanilla": [], "profiling": ["-prof"], "dynamic": ["-dynamic"]}


class Ghc:
    """An installed GHC, asked about itself once."""

    def __init__(self, program):
        path = shutil.which(program)
        if path is None:
            raise FileNotFoundError(f"no such program: {program}")
        self.path = path
        information = dict(ast.literal_eval(self._ask("--info")))
        self.version = information["Project version"]
        self._dynamic = information.get("GHC Dynamic") == "YES"
        self._libdir = Path(information["LibDir"])

    def _ask(self, question):
        return subprocess.run([self.path, question], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def own_interpreter(self):
        """GHC's ghc-iserv, without the suffix of the way; None if it is not installed."""
        for directory in (self._libdir / "bin", self._libdir.parent / "bin"):
            if (directory / "ghc-iserv").exists():
                return directory / "ghc-iserv"
        return None

    def interprets_in_process(self, way):
        """Whether splices of one module can be run by GHC itself in this way.

        GHC can load code of the way that it was built in; a dynamic GHC takes the dynamic objects
        of the packages for a vanilla module too.
        """
        return way in (("vanilla", "dynamic") if self._dynamic else ("vanilla",))
