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

    def package_tool(self):
        """The ghc-pkg beside it."""
        program = Path(self.path)
        return program.with_name(program.name.replace("ghc", "ghc-pkg", 1))

    def own_interpreter(self):
        """GHC's ghc-iserv, without the suffix of the way; None if it is not installed."""
        for directory in (self._libdir / "bin", self._libdir.parent / "bin"):
            if (directory / "ghc-iserv").exists():
                return directory / "ghc-iserv"
        return None

    def in_process_flags(self, way):
        """The flags with which GHC runs the splices of one module itself; None if it cannot.

        GHC can load code of the way that it was built in; a dynamic GHC takes the dynamic objects of
        the packages whatever way the module is compiled in. For profiling it wants to see a suffix that
        is not the usual one, and in a project of several modules each must be compiled twice.
        """
        if way == "profiling":
            return ("-osuf", "p_o", "-hisuf", "p_hi") if self._dynamic else None
        return () if self._dynamic or way == "vanilla" else None
