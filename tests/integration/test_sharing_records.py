"""What is recorded of a load holds as long as all that it depended on: also the loader's own files, what it looked for
and did not find, and the path of what it found."""

import os
import shutil
import unittest

from support import WAYS, expand, for_each
from test_sharing import NEW, OLD, SharingTest
from test_sharing_content import PLAIN, replace, replace_with_same_signature

USES_PLAIN = """
{-# LANGUAGE TemplateHaskell #-}
module UsesPlain where
import Foreign.C
import Language.Haskell.TH
import Plain
$(runIO (plainValue >>= print >> plainPath >>= peekCString >>= putStrLn) >> pure [])
"""

C = """
#define _GNU_SOURCE
#include <dlfcn.h>
int plain_value(void) { return VALUE; }
const char *plain_path(void) { Dl_info info; dladdr((void *) plain_value, &info); return info.dli_fname; }
"""

STATIC_WAYS = [way for way in WAYS if way.name != "dynamic"]
"""Those in which GHC leaves it to the interpreter where a library of C code is."""


class LibraryTest(SharingTest):
    """A test with a library of C code that says which one it is, and where it was loaded from."""

    def setUp(self):
        super().setUp()
        self.workspace.write("plain.c", C)
        self.workspace.write("Plain.hs", PLAIN + 'foreign import ccall "plain_path" plainPath :: IO CString\n')
        self.workspace.write("UsesPlain.hs", USES_PLAIN)

    def directory(self, name):
        directory = self.workspace.root / name
        directory.mkdir(exist_ok=True)
        return directory

    def build(self, path, value=OLD):
        path.parent.mkdir(exist_ok=True)
        # Written to a file of its own: what is loaded must not be written to.
        new = self.workspace.root / "new.so"
        built = self.workspace.run("gcc", "-shared", "-fPIC", f"-DVALUE={value}", "-Wl,-soname,libplain.so",
                                   "plain.c", "-o", new)
        self.assertEqual(built.status, 0, built)
        os.replace(new, path)
        return path

    def compile_users(self, way):
        self.compile(way, "Plain.hs")

    def assert_as_alone(self, way, *flags, value=None, path=None, times=2, status=0):
        """Shared compiles have a splice print what one that shares nothing does; that is the output."""
        alone = self.compile_directly(way, "UsesPlain.hs", *flags, status=status)
        for number in range(times):
            done = self.compile(way, "UsesPlain.hs", *flags, status=status)
            self.assertEqual((number, done.stdout), (number, alone.stdout), done)
            self.wait_until_grown(0)
        if value is not None:
            self.assertEqual(alone.stdout.splitlines()[0], str(value), alone)
        if path is not None:
            self.assertEqual(alone.stdout.splitlines()[1], str(path), alone)


@expand
class Paths(LibraryTest):
    """A shared object can see its path, and have its data beside it."""

    @for_each(way=WAYS)
    def test_copies(self, way):
        one, two = (self.directory(name) / "libplain.so" for name in ("one", "two"))
        self.build(one)
        shutil.copy2(one, two)
        self.compile_users(way)
        for library in (one, two, one):
            self.assert_as_alone(way, f"-L{library.parent}", "-lplain", path=library, times=2)
        self.assertGreater(self.status().hits, 0, "nothing was shared")

    @for_each(way=WAYS)
    def test_relative(self, way):
        """The same file is asked for by an absolute path, a relative one, and another relative one."""
        library = self.build(self.directory("one") / "libplain.so")
        self.compile_users(way)
        for directory in (library.parent, "../one"):
            self.assert_as_alone(way, f"-L{directory}", "-lplain", times=2)
        self.assertGreater(self.status().hits, 0, "nothing was shared")

    def test_hard_links(self):
        """A link to a directory leads to another one, in which the same file has a name."""
        way = WAYS[0]
        one, two = (self.directory(name) / "libplain.so" for name in ("one", "two"))
        self.build(one)
        os.link(one, two)
        current = self.workspace.root / "current"
        self.workspace.write("plain.c", C)
        self.workspace.write("UsesPlain.hs", USES_PLAIN.replace(
            "plainPath >>= peekCString >>= putStrLn",
            'readFile "/proc/self/maps" >>= putStrLn . last . filter (elem \'/\') . words . last'
            ' . filter (isInfixOf "libplain.so") . lines').replace("import Plain", "import Plain\nimport Data.List"))
        self.compile_users(way)
        for library in (one, two, one):
            current.unlink(missing_ok=True)
            current.symlink_to(library.parent)
            self.assert_as_alone(way, f"-L{current}", "-lplain", path=library, times=2)


@expand
@unittest.skipUnless(STATIC_WAYS, "in the dynamic way GHC finds libraries itself")
class NotFound(LibraryTest):
    """What was not where it was looked for may be there later."""

    def search(self, *directories):
        self.workspace.env["LD_LIBRARY_PATH"] = ":".join(map(str, directories))

    @for_each(way=STATIC_WAYS)
    def test_missing_directory(self, way):
        self.check_earlier("missing_directory", way)

    @for_each(what=("empty_directory", "dangling_link", "dangling_directory", "other_class", "hardware"))
    def test_earlier(self, what):
        """In one way only: the search is the system's."""
        self.check_earlier(what, STATIC_WAYS[0])

    def check_earlier(self, what, way):
        later = self.build(self.directory("later") / "libplain.so")
        earlier = self.workspace.root / "earlier"
        library = earlier / "libplain.so"
        self.search(earlier, later.parent)
        if what == "dangling_directory":
            earlier.symlink_to("real")
        elif what != "missing_directory":
            earlier.mkdir()
        if what == "dangling_link":
            library.symlink_to("real.so")
            library = earlier / "real.so"
        elif what == "other_class":
            # A file for 32 bits is passed over (glibc, elf/dl-load.c, open_verify).
            self.build(library, NEW)
            data = bytearray(library.read_bytes())
            data[4] = 1
            library.write_bytes(data)
        elif what == "hardware":
            library = earlier / "glibc-hwcaps" / "x86-64-v2" / "libplain.so"
        self.compile_users(way)
        self.assert_as_alone(way, "-lplain", value=OLD, times=3)
        self.assertGreater(self.status().hits, 0, "nothing was shared")
        if what == "dangling_directory":
            (self.workspace.root / "real").mkdir()
        library.parent.mkdir(parents=True, exist_ok=True)
        self.build(library, NEW)
        self.assert_as_alone(way, "-lplain", value=NEW)

    @for_each(way=STATIC_WAYS)
    def test_relative_directory(self, way):
        """A directory of LD_LIBRARY_PATH is the compiler's working directory."""
        later = self.build(self.directory("later") / "libplain.so")
        self.search("", later.parent)
        self.compile_users(way)
        self.assert_as_alone(way, "-lplain", value=OLD, times=2)
        self.build(self.workspace.cwd / "libplain.so", NEW)
        # Not the path: a zygote's loader has an absolute one.
        for _ in range(2):
            done = self.compile(way, "UsesPlain.hs", "-lplain")
            self.assertEqual(done.stdout.splitlines()[0], str(NEW), done)
            self.wait_until_grown(0)

    def test_other_files(self):
        """What has nothing to do with it appears in a directory that is searched: the zygotes stay."""
        way = STATIC_WAYS[0]
        directory = self.build(self.directory("later") / "libplain.so").parent
        earlier = self.directory("earlier")
        self.search(earlier, directory)
        self.compile_users(way)
        self.assert_as_alone(way, "-lplain", value=OLD)
        before = self.wait_until_grown()
        for number in range(3):
            (earlier / f"other{number}.so").write_text("")
            self.assert_as_alone(way, "-lplain", value=OLD, times=1)
        self.assertEqual(self.wait_until_grown().hits, before.hits + 3)


@expand
class Own(LibraryTest):
    """What an interpreter starts with is replaced while the broker runs."""

    @for_each(way=WAYS)
    def test_preloaded(self, way):
        library, other = (self.build(self.directory(name) / "libplain.so", value)
                          for name, value in (("one", OLD), ("two", NEW)))
        first = shutil.copy2(library, self.workspace.root / "first.so")
        self.compile_users(way)
        self.workspace.env["LD_PRELOAD"] = str(library)
        for value, content in ((OLD, first), (NEW, other), (OLD, first)):
            replace_with_same_signature(library, content)
            self.assert_as_alone(way, value=value)
        self.assertGreater(self.status().hits, 0, "nothing was shared")

    @for_each(way=WAYS)
    def test_preloaded_by_name(self, way):
        """It appears in an earlier directory of those in which the loader has searched for it."""
        earlier, later = (self.directory(name) / "libplain.so" for name in ("earlier", "later"))
        self.build(later)
        self.compile_users(way)
        self.workspace.env.update(LD_PRELOAD="libplain.so", LD_LIBRARY_PATH=f"{earlier.parent}:{later.parent}")
        self.assert_as_alone(way, value=OLD)
        # The linker that makes it must not run with the one that it makes.
        preload = self.workspace.env.pop("LD_PRELOAD")
        self.build(earlier, NEW)
        self.workspace.env["LD_PRELOAD"] = preload
        self.assert_as_alone(way, value=NEW)

    @for_each(way=[way for way in WAYS if way.name == "dynamic"])
    def test_a_library_of_ghc(self, way):
        """The interpreter's own copy of a library of GHC's is another one from some moment on: its broker starts anew."""
        done = self.workspace.run("sh", "-c", "cp -L $(ldconfig -p | sed -n 's/.*libffi.so.*=> //p' | head -1) $0",
                                  self.directory("own"))
        self.assertEqual(done.status, 0, done)
        own = next(self.directory("own").iterdir())
        self.workspace.env["LD_LIBRARY_PATH"] = str(own.parent)
        self.workspace.write("UsesPlain.hs", """
{-# LANGUAGE TemplateHaskell #-}
module UsesPlain where
import Data.List
import Language.Haskell.TH
$(runIO (readFile "/proc/self/maps" >>= putStrLn . unlines . map (show . (!! 4) . words) . filter ("libffi" `isInfixOf`)
         . lines) >> pure [])
""")
        for _ in range(2):
            self.assert_as_alone(way, times=2)
            replace(own, own)


if __name__ == "__main__":
    unittest.main()
