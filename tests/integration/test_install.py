"""`cmake --install`, building interpreters for another GHC from what it installed, and for which GHCs."""

import os
import pathlib
import re
import shutil
import subprocess
import unittest

import partial_ghc
from support import GHC, OURS, WAYS, IntegrationTest

BUILD = pathlib.Path(OURS).parent.parent
SOURCES = pathlib.Path(__file__).resolve().parents[2]
NAME = pathlib.Path(OURS).parent.name

SPLICE = "{-# LANGUAGE TemplateHaskell #-}\nmodule Splice where\ntwo :: Int\ntwo = $([| 1 + 1 |])\n"


class InstallTest(IntegrationTest):
    def setUp(self):
        super().setUp()
        # Moved after it was installed, so that nothing can work only where it was.
        first = self.workspace.root / "first-prefix"
        done = self.workspace.run("cmake", "--install", BUILD, "--prefix", first)
        self.assertEqual(done.status, 0, done)
        self.prefix = first.rename(self.workspace.root / "prefix")
        self.root = self.prefix / "lib" / "splicehost"

    def assert_compiles_splice(self, ghc, iserv, way):
        self.workspace.write("Splice.hs", SPLICE)
        done = self.workspace.run(ghc, "-v0", "-fforce-recomp", "-fexternal-interpreter", "-pgmi", iserv,
                                  *way.flags, "-c", "Splice.hs")
        self.assertEqual(done.status, 0, done)

    def build(self, *arguments):
        return self.workspace.run(self.root / "sources" / "ways" / "build-ghc", *arguments, timeout=600)


class Installed(InstallTest):
    def test_works_where_it_was_moved_to(self):
        flags = self.workspace.run(self.prefix / "bin" / "iservctl", "flags", "--ghc", GHC)
        iserv = self.root / NAME / "iserv"
        self.assertEqual(flags.stdout, f"-fexternal-interpreter -pgmi {iserv}\n", flags)
        for way in WAYS:
            self.assert_compiles_splice(GHC, iserv, way)

    def test_tells_nothing_of_where_it_was_made(self):
        places = [BUILD, SOURCES, self.workspace.root / "first-prefix"]
        pattern = re.compile(b"(%s)[/\\0\\n]" % b"|".join(re.escape(bytes(place)) for place in places))
        found = {str(path): match for path in self.files()
                 if (match := pattern.search(path.read_bytes()))}
        self.assertEqual(found, {})

    def test_has_no_library_paths_but_those_of_ghc(self):
        libdir = subprocess.run([GHC, "--print-libdir"], check=True, capture_output=True, text=True).stdout
        for path in self.files():
            if path.read_bytes()[:4] == b"\x7fELF":
                dynamic = self.workspace.run("readelf", "-d", path).stdout
                paths = [line for line in dynamic.splitlines() if "PATH)" in line]
                self.assertTrue(all(libdir.strip() in line for line in paths), (path, paths))

    def test_has_documents_and_licence(self):
        documents = self.prefix / "share" / "doc" / "splicehost"
        for name in ("LICENSE", "design.md", "protocol.md", "iservctl.md", "examples/application/main.cc"):
            self.assertTrue((documents / name).is_file(), name)

    def test_has_no_links_and_nothing_that_only_a_build_needs(self):
        for path in self.prefix.rglob("*"):
            self.assertFalse(path.is_symlink(), path)
            self.assertFalse(path.name.endswith(".build"), path)
            # Interpreters of further GHCs are built there; nothing else is.
            if path.name == "CMakeLists.txt":
                self.assertEqual(path.parent, self.root / "sources" / "ways" / "interpreters")

    def files(self):
        return [path for path in self.prefix.rglob("*") if path.is_file()]


class AddedGhc(InstallTest):
    """`iservctl add-ghc`, in a prefix that has interpreters for none."""

    def setUp(self):
        super().setUp()
        for directory in self.root.glob("ghc-*"):
            shutil.rmtree(directory)

    def add(self, ghc):
        return self.workspace.run(self.prefix / "bin" / "iservctl", "add-ghc", ghc, timeout=600)

    def state(self):
        """What is in the prefix, apart from the interpreters."""
        return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in self.prefix.rglob("*")
                if path.is_file() and self.root / NAME not in path.parents}

    def test_in_the_ways_that_it_has(self):
        """A GHC that has only the vanilla way, and its own libffi."""
        directory = self.workspace.cwd / "ghc"
        ghc = partial_ghc.make(directory, bring_libffi=True,
                               without=partial_ghc.PROFILING_FILES + partial_ghc.DYNAMIC_FILES)
        before = self.state()
        # As a relative path, too.
        done = self.add("ghc/bin/ghc")
        self.assertEqual(done.status, 0, done)
        self.assertRegex(done.stderr, r"lacks \S+/Prelude.p_hi: the profiled way is left out; to get it: install")
        self.assertRegex(done.stderr, r"lacks \S+/Prelude.dyn_hi: the dynamic way is left out")
        out = self.root / NAME
        self.assertIn(f"GHC {NAME[4:]} has its interpreters: -fexternal-interpreter -pgmi {out}/iserv\n", done.stdout)
        self.assertEqual(self.state(), before, "something else was changed")
        entries = [line.split() for line in (out / "manifest").read_text().splitlines()]
        self.assertEqual({name for name, _ in entries}, {"ghc-version", "architecture", "vanilla", "vanilla-library"})
        # GHC is not to look for these.
        libraries = {value for name, value in entries if name == "vanilla-library"}
        self.assertLessEqual({"libc.so", "libm.so", "libgmp.so"}, libraries)
        flags = self.workspace.run(self.prefix / "bin" / "iservctl", "flags", "--ghc", ghc)
        self.assertEqual(flags.stdout, f"-fexternal-interpreter -pgmi {out}/iserv\n", flags)
        self.assert_compiles_splice(ghc, out / "iserv", WAYS[0])
        prof = self.workspace.run(out / "iserv-prof", "0", "0")
        self.assertEqual(prof.status, 1, prof)
        self.assertIn("there is no interpreter of the profiled way", prof.stderr)
        self.assert_second_build_does_nothing(ghc)
        self.assert_same_build_of_touched_sources(ghc)

    def assert_second_build_does_nothing(self, ghc):
        interpreter = self.root / NAME / "interpreter"
        built = interpreter.stat()
        asked = partial_ghc.calls(ghc)
        done = self.build("--ghc", ghc)
        self.assertEqual(done.status, 0, done)
        # For its version and its library directory.
        self.assertEqual(partial_ghc.calls(ghc) - asked, 2)
        again = interpreter.stat()
        self.assertEqual((built.st_ino, built.st_mtime_ns), (again.st_ino, again.st_mtime_ns))

    def assert_same_build_of_touched_sources(self, ghc):
        """What is built again from the same content is the same build."""
        manifest = self.root / NAME / "manifest"
        before = manifest.read_text()
        os.utime(self.root / "sources" / "iserv" / "interpreter" / "symbol_names.cc")
        done = self.build("--ghc", ghc)
        self.assertEqual((done.status, done.stdout), (0, "  vanilla\n"), done)
        self.assertEqual(manifest.read_text(), before)

    def test_of_a_version_without_a_wire_table(self):
        done = self.add(partial_ghc.stranger(self.workspace.root / "ghc", "9.2.8"))
        self.assertEqual((done.status, done.stdout), (1, ""), done)
        self.assertRegex(done.stderr, r"GHC 9\.2\.8 \(\S+/ghc\) has no wire table.* has those of GHC 9\.0\.2\b")
        self.assertEqual(list(self.root.glob("ghc-*")), [])

    def test_of_what_is_no_ghc(self):
        for program, text in {"cat": "'cat' does not answer", "no-such-ghc": "no such file"}.items():
            done = self.add(program)
            self.assertEqual((done.status, done.stdout), (1, ""), done)
            self.assertIn(text, done.stderr, done)


class Configured(IntegrationTest):
    """For which GHCs CMake would build interpreters."""

    def configure(self, *arguments):
        return self.workspace.run("cmake", "-S", SOURCES, "-B", self.workspace.root / "build", "-G", "Ninja",
                                  "-DSPLICEHOST_TESTS=OFF", *arguments)

    def said(self, done):
        """What it said, without the line breaks that CMake makes."""
        return " ".join((done.stdout + done.stderr).split())

    def test_of_itself_for_those_that_are_there(self):
        home = self.workspace.root / "home"
        partial_ghc.stranger(home / ".ghcup" / "bin" / "ghc-9.2.8", "9.2.8")
        # Those that are not of a version of its own, and one that is in PATH already.
        (home / ".ghcup" / "bin" / "ghc-9.2").symlink_to("ghc-9.2.8")
        (home / ".ghcup" / "bin" / f"ghc-{NAME[4:]}").symlink_to(shutil.which(GHC))
        (home / ".ghcup" / "bin" / "ghc-9.4.1").symlink_to("/nonexistent")
        self.workspace.env["PATH"] = f"{os.path.dirname(shutil.which(GHC))}:{self.workspace.env['PATH']}"
        done = self.configure()
        self.assertEqual(done.status, 0, done)
        self.assertEqual(re.findall(rf"-- GHC {NAME[4:]}: .*(ghc\S*)\n", done.stdout), ["ghc"], done)
        self.assertRegex(self.said(done), r"GHC 9\.2\.8 \(\S+/ghc-9\.2\.8\) has no wire table.* those of GHC 9\.0\.2\b")
        self.assertRegex(self.said(done), r"no program \S+/ghc-9\.4\.1")

    def test_for_those_that_are_named(self):
        stranger = partial_ghc.stranger(self.workspace.root / "ghc-9.2.8", "9.2.8")
        again = partial_ghc.stranger(self.workspace.root / "again", NAME[4:])
        cases = {
            f"{GHC};{stranger}": r"GHC 9\.2\.8 \(\S+/ghc-9\.2\.8\) has no wire table.* those of GHC 9\.0\.2\b",
            f"{GHC};{again}": rf"\S+/again is a second GHC {NAME[4:]}\b",
            "no-such-ghc": "There is no program no-such-ghc",
            "cat": "cat does not tell its version",
        }
        for ghcs, text in cases.items():
            done = self.configure(f"-DSPLICEHOST_GHCS={ghcs}")
            self.assertEqual(done.status, 1, done)
            self.assertRegex(self.said(done), text)

    def test_for_none(self):
        done = self.configure("-DSPLICEHOST_GHCS=")
        self.assertEqual(done.status, 0, done)
        self.assertNotIn("-- GHC ", done.stdout)


class BuildMistakes(InstallTest):
    def test_are_explained(self):
        cases = {
            (): "--ghc is needed",
            ("--ghc",): "option --ghc needs a value",
            ("--ghc", "no-such-ghc"): "there is no program no-such-ghc",
            ("--nonsense", "x"): "unknown option --nonsense",
            ("--ghc", GHC, "--cxx", "no-such-compiler"): "needs g++ (names of Debian's packages); "
                                                          "to get it: apt-get install g++",
            ("--ghc", GHC, "--cxx", self.compiler_without("libcapnp.a")): "apt-get install libcapnp-dev",
            ("--ghc", GHC, "--cxx", self.compiler_without("libffi.so", "libffi.a")):
                "apt-get install libffi-dev",
        }
        for arguments, text in cases.items():
            done = self.build("--out", self.workspace.root / "out", *arguments)
            self.assertEqual(done.status, 1, done)
            self.assertIn(text, done.stderr, done)

    def test_of_a_version_without_a_wire_table(self):
        out = self.workspace.root / "out"
        done = self.build("--ghc", partial_ghc.stranger(self.workspace.root / "ghc", "9.2.8"), "--out", out)
        self.assertEqual((done.status, done.stdout), (1, ""), done)
        self.assertRegex(done.stderr, r"GHC 9\.2\.8 \(\S+/ghc\) has no wire table.* those of GHC 9\.0\.2\b.* and 9\.")
        self.assertFalse(out.exists())

    def test_of_a_ghc_without_any_way(self):
        ghc = partial_ghc.make(self.workspace.root / "ghc", without=("Prelude.*",))
        done = self.build("--ghc", ghc, "--out", self.workspace.root / "out")
        self.assertEqual(done.status, 1, done)
        self.assertIn("lacks the libraries of every way", done.stderr, done)

    def test_check_builds_nothing(self):
        files = sorted(self.root.rglob("*"))
        done = self.build("--check", "--ghc", GHC, "--cxx", self.compiler_without("libkj.a"))
        self.assertEqual(done.status, 0, done)
        self.assertEqual(done.stdout, "vanilla\tready\nprofiled\tready\ndynamic\tready\n"
                                      "tools\tmissing\tlibcapnp-dev\tapt-get install libcapnp-dev\n")
        self.assertEqual(sorted(self.root.rglob("*")), files)

    def compiler_without(self, *libraries):
        """A compiler that does not find some libraries."""
        cases = "".join(f"-print-file-name={name}) echo {name}; exit;; " for name in libraries)
        name = self.workspace.write("c++-without-" + libraries[0],
                                    f'#!/bin/sh\ncase "$1" in {cases} esac\nexec g++ "$@"\n')
        path = self.workspace.cwd / name
        path.chmod(0o755)
        return path


if __name__ == "__main__":
    unittest.main()
