"""Several home units in one GHC: units that depend on each other, each in a directory of its own."""

import shutil

from support import GHC, OURS, WAYS, IntegrationTest, expand, external, for_each, ghc_version, peer

UNITS = {
    "library": "-package base -package template-haskell -hidden-module Data.Version -hidden-module Shared Base Shared Data.Version",
    "program": "-package base -package template-haskell -package file-embed -package-id library-1 Main",
}
SAYS = """(42,42,"the unit's own Data.Version")
program 1.2
the program's text
the program's text
"""


class UnitsTest(IntegrationTest):
    def setUp(self):
        super().setUp()
        self.workspace.copy_modules("units")

    def units(self, way):
        """The flags for both units, whose files are read from and written to directories of their own."""
        flags = []
        for unit, words in UNITS.items():
            built = self.workspace.cwd / "built" / way.name / unit
            built.mkdir(parents=True, exist_ok=True)
            response = self.workspace.write(
                f"{unit}.rsp",
                f"-this-unit-id {unit}-1 -working-dir {unit} -isrc -odir {built} -hidir {built} "
                f"-hide-all-packages {' '.join(way.flags)} {words}\n")
            flags += ["-unit", f"@{response}"]
        return flags

    def built(self, way):
        directory = self.workspace.cwd / "built" / way.name
        return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


# GHCs before 9.4 have one home unit.
if ghc_version() >= (9, 4):
    @expand
    class HomeUnits(UnitsTest):
        @for_each(way=WAYS)
        def test_make(self, way):
            """The same files as with GHC's interpreter, to the byte."""
            products = []
            for iserv in (peer(), OURS):
                done = self.workspace.ghc(iserv, "--make", "-v0", "-no-link", *way.flags,
                                          *self.units(way))
                self.assertEqual((done.status, done.stderr), (0, ""), done)
                products.append(self.built(way))
                # GHC would number differently for what it has to compare with.
                shutil.rmtree(self.workspace.cwd / "built")
            self.assertEqual(sorted(name for name in products[0] if name.endswith(way.object_suffix)),
                             sorted(f"{unit}.{way.object_suffix}" for unit in
                                    ("library/Base", "library/Data/Version", "library/Shared",
                                     "program/Main", "program/Shared")))
            self.assertEqual(sorted(products[0]), sorted(products[1]))
            for name, content in products[0].items():
                self.assertEqual(content, products[1][name], name)

        @for_each(way=WAYS)
        def test_ghci(self, way):
            done = self.workspace.run(GHC, "--interactive", "-v0", "-ignore-dot-ghci", *external(OURS), *way.flags,
                                      *self.units(way), "-e", "main")
            self.assertEqual((done.status, done.stdout, done.stderr), (0, SAYS, ""), done)
