"""Whoever compiles with our interpreter gets the same program as with GHC's own, to the byte."""

import dataclasses
import re
import unittest

from projects import PROJECTS
from support import (GHC, OURS, VANILLA, WAYS, IntegrationTest, expand, external, for_each, ghc_version,
                     peer)

# A GHC 9.10 with several threads loses track of which has asked its interpreter what, panics or hangs: its
# withExtInterp (compiler/GHC/Runtime/Interpreter.hs) holds no lock, as withIServ of 9.6 does.
TAKES_TURNS = ghc_version() < (9, 10)

ABI_HASH = re.compile(r"^\s*ABI hash: (\w+)", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Products:
    """What a compilation left: the bytes of each new file, and all that GHC said."""

    files: dict
    said: str


@expand
class IdenticalProducts(IntegrationTest):
    """Each project, compiled twice in one place: with GHC's interpreter, then with ours."""

    @for_each(project=PROJECTS)
    @for_each(way=WAYS)
    def test_one_shot(self, project, way):
        """`ghc -c` of one module after the other, as a build system with workers does it."""
        theirs, ours = self.compile_with_both(project, way, self.compile_one_by_one)
        self.assert_same_files(theirs, ours)

    @for_each(project=[project for project in PROJECTS if project.has_many_modules])
    @for_each(way=WAYS)
    def test_make(self, project, way):
        """`ghc --make`: one GHC and one interpreter for all modules."""
        theirs, ours = self.compile_with_both(project, way, self.compile_by_make)
        self.assert_same_files(theirs, ours)

    @for_each(way=WAYS if TAKES_TURNS else ())
    def test_parallel_make(self, way):
        """`ghc --make -j2`: splices of two modules take turns.

        The order of GHC's own numbering varies then, and with it local labels in objects, so the
        interfaces are what must agree.
        """
        diamond = next(project for project in PROJECTS if project.name == "diamond")
        theirs, ours = self.compile_with_both(diamond, way, self.compile_by_parallel_make)
        self.assertEqual(sorted(theirs.files), sorted(ours.files))
        self.assertEqual(self.abi_hashes(theirs), self.abi_hashes(ours))

    @for_each(way=WAYS)
    def test_without_searching(self, way):
        """GHC does not run gcc to find libraries that the interpreter has, as it does for its own."""
        self.workspace.write("M.hs", "{-# LANGUAGE TemplateHaskell #-}\nmodule M where\nn = $([|1 + 1 :: Int|])\n")
        asked = []
        for iserv in (peer(), OURS):
            done = self.workspace.ghc(iserv, "-v3", "-c", "-fforce-recomp", *way.flags, "M.hs")
            self.assertEqual(done.status, 0, done)
            asked.append(done.stderr.count("--print-file-name"))
        self.assertGreater(asked[0], 0)
        self.assertEqual(asked[1], 0)

    def compile_with_both(self, project, way, compile_project):
        """Products with GHC's interpreter and with ours."""
        self.workspace.copy_modules(project.name)
        before = self.files()
        results = []
        for iserv in (peer(), OURS):
            said = compile_project(project, way, iserv)
            new = {name: data for name, data in self.files().items() if name not in before}
            self.assertTrue(new, f"{iserv}: nothing was compiled")
            results.append(Products(new, said))
            self.remove_files(new)
        return results

    def compile_one_by_one(self, project, way, iserv):
        objects = self.compile_c(project)
        return "".join(self.ghc(iserv, *way.flags, "-c", source, *objects)
                       for source in project.sources)

    def compile_by_make(self, project, way, iserv, *flags):
        objects = self.compile_c(project)
        return self.ghc(iserv, *way.flags, *flags, "--make", "-no-link", *project.sources, *objects)

    def compile_by_parallel_make(self, project, way, iserv):
        self.compile_by_make(project, way, iserv, "-v0", "-j2")
        return ""

    def compile_c(self, project):
        """Compiles the C sources for use in any way and returns the objects' names."""
        objects = []
        for source in project.c_sources:
            done = self.workspace.run(GHC, "-c", "-fPIC", source)
            self.assertEqual(done.status, 0, done)
            objects.append(source.replace(".c", ".o"))
        return objects

    def ghc(self, iserv, *arguments):
        done = self.workspace.run(GHC, *external(iserv), *arguments)
        self.assertEqual(done.status, 0, done)
        return done.stdout + done.stderr

    def files(self):
        """{name: bytes} of all files below the working directory."""
        root = self.workspace.cwd
        return {str(path.relative_to(root)): path.read_bytes()
                for path in root.rglob("*") if path.is_file()}

    def remove_files(self, names):
        for name in names:
            (self.workspace.cwd / name).unlink()

    def assert_same_files(self, theirs, ours):
        self.assertEqual(theirs.said, ours.said)
        self.assertEqual(sorted(theirs.files), sorted(ours.files))
        different = [name for name in theirs.files if theirs.files[name] != ours.files[name]]
        if different:
            hashes = self.abi_hashes(theirs), self.abi_hashes(ours)
            self.fail(f"different bytes in {', '.join(different)}; ABI hashes with GHC's "
                      f"interpreter and with ours: {hashes}")

    def abi_hashes(self, products):
        """{interface file: its ABI hash}."""
        return {name: self.abi_hash(data)
                for name, data in products.files.items() if name.endswith("hi")}

    def abi_hash(self, interface):
        name = self.workspace.cwd / "shown.hi"
        name.write_bytes(interface)
        shown = self.workspace.run(GHC, "--show-iface", name)
        name.unlink()
        return ABI_HASH.search(shown.stdout).group(1)


class WholePrograms(IntegrationTest):
    """A program made with our interpreter runs."""

    def test_runs(self):
        """A program of four modules, linked and started."""
        self.workspace.copy_modules("diamond")
        built = self.workspace.ghc(OURS, "-v0", "--make", "Main.hs", "-o", "diamond")
        self.assertEqual(built.status, 0, built)
        ran = self.workspace.run(self.workspace.cwd / "diamond")
        self.assertIn("RecordRight {fieldRight1 = 4", ran.stdout)
        self.assertIn("Left1Left4Left9", ran.stdout)

    def test_recompiles_only_when_a_dependent_file_changes(self):
        """A file that a splice named as a dependency makes GHC compile again when it changes."""
        self.workspace.write("data.txt", "first")
        self.workspace.write("Reads.hs", READS)
        self.assertIn("Compiling Reads", self.make("Reads.hs"))
        self.assertNotIn("Compiling Reads", self.make("Reads.hs"))
        self.workspace.write("data.txt", "second")
        self.assertIn("Compiling Reads", self.make("Reads.hs"))

    def make(self, source):
        done = self.workspace.ghc(OURS, "--make", source, *VANILLA.flags)
        self.assertEqual(done.status, 0, done)
        return done.stdout


READS = """
{-# LANGUAGE TemplateHaskell #-}
module Reads where
import Language.Haskell.TH
import Language.Haskell.TH.Syntax (addDependentFile)
text :: String
text = $(addDependentFile "data.txt" >> runIO (readFile "data.txt") >>= stringE)
"""

if __name__ == "__main__":
    unittest.main()
