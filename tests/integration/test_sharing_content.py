"""A library is its content: the same at another place is the same, another one at its place is not."""

import os
import shutil
import unittest

from support import WAYS, expand, for_each
from test_sharing import GHC_PKG, NEW, OLD, SharingTest, pids

LENS = """
{-# LANGUAGE TemplateHaskell #-}
module Lenses where
import Control.Lens
data Point = Point { _across :: Int, _up :: Int }
makeLenses ''Point
moved :: Point -> Point
moved = across %~ (+ 1)
"""


@expand
class Moved(SharingTest):
    """Build systems copy package databases from place to place."""

    @for_each(way=WAYS)
    def test_own_package(self, way):
        package = self.make_package(way, whole=True)
        self.warm(package, way)
        before = self.wait_until_grown()
        for name in ("first copy", "second copy"):
            copy = package.copy_to(self.workspace.root / name)
            self.assert_says(OLD, copy, way)
            after = self.wait_until_grown()
            self.assertEqual(after.hits, before.hits + 1, f"{name}: {before} {after}")
            self.assertEqual(pids(after), pids(before), "zygotes")
            before = after

    @for_each(way=WAYS)
    def test_removed_afterwards(self, way):
        """A sandbox is made for each action and is gone after it."""
        package = self.make_package(way, whole=True)
        self.copy_source("Uses.hs")
        for number in range(4):
            sandbox = package.copy_to(self.workspace.root / f"sandbox{number}")
            self.assert_says(OLD, sandbox, way)
            before = self.wait_until_grown()
            shutil.rmtree(sandbox.directory)
            self.assertEqual(before.hits, number, before)

    @for_each(way=WAYS)
    def test_other_dependency(self, way):
        """A library's copy finds another file beside it than the original does: that one counts."""
        package = self.make_package(way)
        self.warm(package, way)
        copy = package.copy_to(self.workspace.root / "copy")
        other = self.make_package(way, NEW, "other")
        replace(copy.dependency, other.dependency)
        for _ in range(3):
            done = self.compile(way, *copy.flags, "Uses.hs")
            self.assertEqual(done.stdout, f"({OLD},{OLD},{NEW})\n", done)
            self.assert_says(OLD, package, way)
            self.wait_until_grown(0)

    @for_each(way=WAYS)
    def test_lens(self, way):
        """A package with many dependencies, of which only it is elsewhere."""
        self.workspace.write("Lenses.hs", LENS)
        # Of the second compile, which attaches after all of lens, the zygote for the third.
        for _ in range(2):
            self.compile(way, "Lenses.hs")
            before = self.wait_until_grown()
        for number in (1, 2):
            done = self.compile(way, "-package-db", self.copy_lens(f"copy{number}", way), "Lenses.hs")
            self.assertEqual((done.stdout, done.stderr), ("", ""))
            after = self.wait_until_grown()
            self.assertEqual(after.hits, before.hits + 1, f"{before} {after}")
            self.assertEqual(pids(after), pids(before), "zygotes")
            before = after

    def copy_lens(self, name, way):
        """Copies lens's directory; returns a package database in which it is the only package."""
        directory = self.workspace.root / name
        directory.mkdir()
        described = self.workspace.run(GHC_PKG, "describe", "lens").stdout
        original = self.field("library-dirs")
        shutil.copytree(original, directory / "lens")
        described = described.replace(original, str(directory / "lens"))
        dynamic = self.field("dynamic-library-dirs")
        for file in os.listdir(dynamic):
            if file.startswith("libHSlens-"):
                shutil.copy(os.path.join(dynamic, file), directory)
        described = described.replace(f"dynamic-library-dirs: {dynamic}\n",
                                      f"dynamic-library-dirs: {directory}\n")
        # Not registered, since ghc-pkg would refuse a package that there is already.
        database = directory / "db"
        self.assertEqual(self.workspace.run(GHC_PKG, "init", database).status, 0)
        (database / "lens.conf").write_text(described)
        self.assertEqual(self.workspace.run(GHC_PKG, "--package-db", database, "recache").status, 0)
        if way.name == "dynamic":
            self.assertTrue(list(directory.glob("libHSlens-*.so")))
        return database

    def field(self, name):
        return self.workspace.run(GHC_PKG, "field", "lens", name, "--simple-output").stdout.strip()


# How a file's content is changed, the ways that people and tools have.

def replace(target, source):
    """A new file with a new time takes the name, as linkers and package managers do it."""
    temporary = target.with_name("temporary")
    shutil.copyfile(source, temporary)
    os.replace(temporary, target)


def replace_with_same_signature(target, source):
    """The same, but size and time are as before."""
    before = target.stat()
    replace(target, source)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))


def overwrite(target, source):
    """As `cp` does it: the file is cut to nothing and written anew, while it may be mapped."""
    shutil.copyfile(source, target)


def overwrite_with_same_signature(target, source):
    """Written over in place, and size and time are as before."""
    before = target.stat()
    with open(target, "r+b") as file:
        file.write(source.read_bytes())
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {change.__name__: change for change in (replace, replace_with_same_signature,
                                                  overwrite, overwrite_with_same_signature)}

HOME = """
module Home (value) where
import Subject
value :: Int
value = %d
{-# NOINLINE value #-}
"""

USES_HOME = """
{-# LANGUAGE TemplateHaskell #-}
module UsesHome where
import Home
import Language.Haskell.TH
$(runIO (print value) >> pure [])
"""


@expand
class Rebuilt(SharingTest):
    """Whatever was done to a file, a splice runs what is in it now."""

    @for_each(change=CHANGES)
    @for_each(way=WAYS)
    def test_library(self, change, way):
        package, other = self.make_two(way)
        self.check(way, package.code, other.code, change, "Uses.hs", package.flags,
                   [f"({n},{n},{OLD})\n" for n in (OLD, NEW)])

    @for_each(change=("replace_with_same_signature", "overwrite"))
    @for_each(way=WAYS)
    def test_dependency(self, change, way):
        """A shared object that GHC never names changes: another one needs it."""
        package, other = self.make_two(way)
        self.check(way, package.dependency, other.dependency, change, "Uses.hs", package.flags,
                   [f"({OLD},{OLD},{n})\n" for n in (OLD, NEW)])

    @for_each(change=("replace_with_same_signature", "overwrite"))
    @for_each(way=WAYS)
    def test_home_module(self, change, way):
        package = self.make_package(way)
        home = self.workspace.cwd / f"Home.{way.object_suffix}"
        new = self.workspace.cwd / "new.o"
        for value in (NEW, OLD):
            self.workspace.write("Home.hs", HOME % value)
            self.compile(way, *package.flags, "Home.hs")
            if value == NEW:
                shutil.copy2(home, new)
        self.workspace.write("UsesHome.hs", USES_HOME)
        self.check(way, home, new, change, "UsesHome.hs", package.flags, [f"{OLD}\n", f"{NEW}\n"])

    def make_two(self, way):
        """A package, and what its files would be if it were built again from other sources."""
        self.copy_source("Uses.hs")
        package, other = self.make_package(way), self.make_package(way, NEW, "other")
        for one, two in ((package.code, other.code), (package.dependency, other.dependency)):
            self.assertEqual(one.stat().st_size, two.stat().st_size)
        return package, other

    def check(self, way, target, other, change, source, flags, says):
        """Compiles with one content, with the other and with the first again."""
        saved = target.with_name("saved")
        shutil.copy2(target, saved)
        for number in range(3):
            if number:
                CHANGES[change](target, other if number % 2 else saved)
            # A package is in a zygote for the second compile, a home module for the third.
            for attempt in range(3 if source == "UsesHome.hs" else 2):
                done = self.compile(way, *flags, source)
                self.assertEqual((done.stdout, done.stderr), (says[number % 2], ""),
                                 f"content {number}, compile {attempt}")
                status = self.wait_until_grown(0)
        self.assertGreater(status.hits, 0, "nothing was shared")


PLAIN = """
module Plain where
import Foreign.C
foreign import ccall "plain_value" plainValue :: IO CInt
"""

USES_PLAIN = """
{-# LANGUAGE TemplateHaskell #-}
module UsesPlain where
import Language.Haskell.TH
import Plain
$(runIO (plainValue >>= print) >> pure [])
"""


@expand
class SearchPaths(SharingTest):
    """Shared objects that are searched for may be found elsewhere from one day to the next."""

    @for_each(way=WAYS)
    def test_runpath(self, way):
        """The dependency of a library appears in an earlier directory, and vanishes again."""
        package = self.make_package(way)
        other = self.make_package(way, NEW, "other")
        self.warm(package, way)
        earlier = package.library / "first" / package.dependency.name
        earlier.parent.mkdir()
        for value in (NEW, OLD, NEW):
            if value == NEW:
                shutil.copyfile(other.dependency, earlier)
            else:
                earlier.unlink()
            for _ in range(2):
                done = self.compile(way, *package.flags, "Uses.hs")
                self.assertEqual(done.stdout, f"({OLD},{OLD},{value})\n", done)
                self.wait_until_grown(0)

    @for_each(way=[way for way in WAYS if way.name != "dynamic"])
    def test_library_path(self, way):
        """A library that GHC knows only by its name appears in an earlier directory of LD_LIBRARY_PATH.

        In the dynamic way GHC links home modules against it, and so knows where it is.
        """
        directories = [self.workspace._directory(name) for name in ("earlier", "later")]
        self.workspace.env["LD_LIBRARY_PATH"] = ":".join(map(str, directories))
        self.workspace.write("plain.c", "int plain_value(void) { return VALUE; }\n")
        self.workspace.write("Plain.hs", PLAIN)
        self.workspace.write("UsesPlain.hs", USES_PLAIN)
        self.compile(way, "Plain.hs")
        self.assert_finds(way, directories[1], OLD)
        self.assert_finds(way, directories[0], NEW)
        (directories[0] / "libplain.so").unlink()
        self.assert_finds(way, directories[1], OLD)
        self.assertGreater(self.status().hits, 0, "nothing was shared")

    def assert_finds(self, way, directory, value):
        """Puts a library there, and the compiles find it."""
        built = self.workspace.run("gcc", "-shared", "-fPIC", f"-DVALUE={value}", "plain.c", "-o",
                                   directory / "libplain.so")
        self.assertEqual(built.status, 0, built)
        for _ in range(3):
            done = self.compile(way, "UsesPlain.hs", "-lplain")
            self.assertEqual(done.stdout, f"{value}\n", done)
            self.wait_until_grown(0)


TICKS = """
{-# LANGUAGE TemplateHaskell #-}
module Ticks where
import qualified Foreign
import Language.Haskell.TH
import Subject
import System.IO

$(pure [])
-- The library is written just before GHC loads it, and again right after that, in place.
$(runIO (do
  withBinaryFile FROM ReadMode $ \\from -> withBinaryFile TO ReadWriteMode $ \\to ->
    Foreign.allocaBytes SIZE $ \\bytes -> hGetBuf from bytes SIZE >>= hPutBuf to bytes) >> pure [])
$(runIO (values >>= print) >> pure [])
$(runIO (do
  withBinaryFile THEN ReadMode $ \\from -> withBinaryFile TO ReadWriteMode $ \\to ->
    Foreign.allocaBytes SIZE $ \\bytes -> hGetBuf from bytes SIZE >>= hPutBuf to bytes) >> pure [])
"""


@expand
class WithinOneTick(SharingTest):
    """The clock of a file system is coarse: what is written right after a compile has its time."""

    @for_each(way=WAYS)
    def test(self, way):
        package = self.make_package(way)
        other = self.make_package(way, NEW, "other")
        old = package.copy_to(self.workspace.root / "old")
        self.copy_source("Uses.hs")
        contents = (old, other)
        for number in range(4):
            first, then = contents[number % 2], contents[(number + 1) % 2]
            source = TICKS.replace("FROM", f'"{first.code}"').replace("THEN", f'"{then.code}"')
            source = source.replace("TO", f'"{package.code}"')
            self.workspace.write("Ticks.hs", source.replace("SIZE", str(package.code.stat().st_size)))
            done = self.compile(way, *package.flags, "Ticks.hs")
            self.assertEqual(done.stdout, f"({first.value},{first.value},{OLD})\n", done)
            for _ in range(2):
                done = self.compile(way, *package.flags, "Uses.hs")
                self.assertEqual(done.stdout, f"({then.value},{then.value},{OLD})\n", done)
        self.assertGreater(self.wait_until_grown().hits, 0, "nothing was shared")


if __name__ == "__main__":
    unittest.main()
