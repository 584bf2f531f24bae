"""Bad input, from the command line or from GHC's pipe, gives one clear error and a failing exit."""

import pathlib
import re
import subprocess
import unittest

import wire
from pipes import Driven
from support import GHC, OURS, WAYS, IntegrationTest, expand, external, for_each, ghc_version

STATIC_WAYS = [way for way in WAYS if way.name != "dynamic"]


@expand
class StartedByHand(IntegrationTest):
    """Someone runs the program from a shell."""

    @for_each(way=WAYS)
    def test_usage(self, way):
        """Without GHC's arguments, or with other ones, it explains itself."""
        for arguments in ((), ("1",), ("--help",), ("one", "two"), ("3", "4x")):
            done = self.workspace.run(OURS + way.suffix, *arguments, timeout=10)
            self.assertEqual(done.status, 2, done)
            self.assertIn("usage", done.stderr.lower(), done)
            self.assertIn("-fexternal-interpreter", done.stderr, done)

    @for_each(way=WAYS)
    def test_version(self, way):
        """It says which Splicehost it is: the same as the control tool beside it."""
        done = self.workspace.run(OURS + way.suffix, "--version", timeout=10)
        control = self.workspace.run(pathlib.Path(OURS).parent.parent / "iservctl", "--version", timeout=10)
        self.assertEqual((done.status, control.status), (0, 0), (done, control))
        self.assertEqual(done.stdout.split()[-1], control.stdout.split()[-1])
        self.assertRegex(done.stdout, r"\d+\.\d+\.\d+")

    @for_each(way=WAYS)
    def test_no_pipes(self, way):
        """Numbers that are no open files are an error that names them."""
        done = self.workspace.run(OURS + way.suffix, "87", "88", timeout=10)
        self.assertGreater(done.status, 0, done)
        self.assertRegex(done.stderr, r"\b8[78]\b")


class DrivenTest(IntegrationTest):
    """Sends bytes in GHC's place."""

    def drive(self, way, *requests, then_hang_up=False):
        """Sends the requests: the driver, and how the program ended, of itself or when hung up."""
        driven = Driven(self.workspace, OURS + way.suffix)
        for request in requests:
            driven.send(request)
        if then_hang_up:
            driven.hang_up()
        try:
            return driven, driven.wait_for_end()
        except subprocess.TimeoutExpired:
            self.fail(f"the program does not end; it said: {driven.texts}")

    def assert_refused(self, done, *patterns):
        """The program failed, in few words, among which these are found."""
        self.assertGreater(done.status, 0, done)
        lines = done.stderr.splitlines()
        self.assertTrue(1 <= len(lines) <= 3, done)
        for pattern in patterns:
            self.assertRegex(done.stderr, re.compile(pattern, re.IGNORECASE), done)


@expand
class BrokenStreams(DrivenTest):
    """What arrives is not what GHC sends."""

    @for_each(way=WAYS)
    def test_clean_end(self, way):
        """A proper session of a few messages: answers, silence, status 0."""
        driven, done = self.drive(way, wire.INIT_LINKER, wire.START_TH, wire.SHUTDOWN)
        self.assertEqual((done.status, done.stderr), (0, ""), done)
        self.assertEqual(len(driven.answers), 8, "the reference that answers StartTH")

    @for_each(way=WAYS)
    def test_unknown_tag(self, way):
        """A message that GHC does not have."""
        _, done = self.drive(way, wire.INIT_LINKER, b"\xc8")
        self.assert_refused(done, "200")

    @for_each(way=WAYS)
    def test_truncated(self, way):
        """The stream ends within a message."""
        _, done = self.drive(way, wire.INIT_LINKER, wire.load_obj("some/file.o")[:14],
                             then_hang_up=True)
        self.assert_refused(done, "loadObj|tag 6|message 1", "bytes")

    @for_each(way=WAYS)
    def test_negative_length(self, way):
        """A text of less than no characters."""
        _, done = self.drive(way, b"\x02" + wire.number(-5) + b"abc")
        self.assert_refused(done, "lookupSymbol|tag 2", "offset")

    @for_each(way=WAYS)
    def test_enormous_length(self, way):
        """A length beyond all memory is not a reason to allocate it."""
        for request in (b"\x0e" + wire.number(1 << 60) + b"abc",
                        b"\x0f" + wire.number(1 << 58) + wire.number(3) + b"abc",
                        b"\x0d" + wire.number((1 << 62) + 1)):
            _, done = self.drive(way, request)
            self.assert_refused(done, "offset")

    @for_each(way=WAYS)
    def test_break_array_of_enormous_size(self, way):
        """A whole message may ask for too much as well."""
        for size in (1 << 60, 1 << 50, -1):
            _, done = self.drive(way, b"\x1b" + wire.number(size))
            self.assert_refused(done, "breakArray")

    @for_each(way=WAYS)
    def test_bad_bool(self, way):
        """A truth value that is neither."""
        _, done = self.drive(way, b"\x12\x07" + wire.number(1) * 4 + wire.number(0))
        self.assert_refused(done, "mkConInfoTable|tag 18", "offset")

    @for_each(way=WAYS)
    def test_bad_byte_code(self, way):
        """Byte code that is none."""
        for data in (b"", b"garbage", wire.number(1), wire.number(1) + bytes(8) + b"\xff" * 64,
                     wire.number(1 << 50)):
            _, done = self.drive(way, wire.create_bcos(data))
            self.assert_refused(done, "BCO")

    @for_each(way=WAYS)
    def test_unknown_reference(self, way):
        """References that were never handed out."""
        unknown = wire.number(0x7777)
        for name, request in (("freeHValueRefs|freeReferences", b"\x0d" + wire.number(1) + unknown),
                              ("evalIO", b"\x18" + unknown), ("seq", b"\x24" + unknown),
                              ("getClosure", b"\x23" + unknown)):
            _, done = self.drive(way, request, wire.RESOLVE_OBJS)
            self.assert_refused(done, name)


@expand
class BrokenFiles(DrivenTest):
    """GHC names a file that is not what it should be; the error names the file."""

    def setUp(self):
        super().setUp()
        self.workspace.write("answer.c", "int answer(void) { return 42; }\n")
        done = self.workspace.run("gcc", "-c", "answer.c")
        self.assertEqual(done.status, 0, done)
        self.object = (self.workspace.cwd / "answer.o").read_bytes()

    def broken(self, name, data):
        """Puts a file into the working directory; returns its full name."""
        path = self.workspace.cwd / name
        path.write_bytes(data)
        return path

    def archive(self):
        """The bytes of an archive of one good object."""
        done = self.workspace.run("ar", "qs", "good.a", "answer.o")
        self.assertEqual(done.status, 0, done)
        return (self.workspace.cwd / "good.a").read_bytes()

    @for_each(way=STATIC_WAYS)
    def test_good_files(self, way):
        """For comparison: whole files are loaded, and their symbols found."""
        archive = self.broken("answer.a", self.archive())
        for load in (wire.load_obj(self.workspace.cwd / "answer.o"), wire.load_archive(archive)):
            driven, done = self.drive(way, wire.INIT_LINKER, load, wire.RESOLVE_OBJS,
                                      wire.lookup_symbol("answer"), wire.SHUTDOWN)
            self.assertEqual(done.status, 0, done)
            self.assertEqual(driven.answers[:2], b"\x01\x01", "resolved and found")

    @for_each(way=STATIC_WAYS)
    def test_missing(self, way):
        """A file that is not there."""
        for load in (wire.load_obj, wire.load_archive):
            _, done = self.drive(way, wire.INIT_LINKER, load("/nowhere/missing.o"),
                                 wire.RESOLVE_OBJS)
            self.assert_refused(done, "/nowhere/missing.o")

    @for_each(way=STATIC_WAYS)
    def test_object(self, way):
        """No object: a text, nothing at all, half of one, one of another machine, a directory."""
        foreign = self.object[:18] + b"\x28\x00" + self.object[20:]
        for data in (b"just some text\n", b"", self.object[:len(self.object) // 2],
                     self.object[:40], foreign):
            path = self.broken("broken.o", data)
            _, done = self.drive(way, wire.INIT_LINKER, wire.load_obj(path), wire.RESOLVE_OBJS)
            self.assert_refused(done, re.escape(str(path)))
        _, done = self.drive(way, wire.INIT_LINKER, wire.load_obj(self.workspace.cwd),
                             wire.RESOLVE_OBJS)
        self.assert_refused(done, re.escape(str(self.workspace.cwd)))

    @for_each(way=STATIC_WAYS)
    def test_archive(self, way):
        """No archive: a text, nothing, only its first line, cut short, or with damaged headers."""
        good = self.archive()
        size = good.index(b"answer.o/") + 48
        for data in (b"just some text\n", b"", good[:len(good) - 200],
                     good[:8] + b"garbage " * 30, good[:size] + b"9999999999" + good[size + 10:],
                     good[:size] + b"notanumber" + good[size + 10:]):
            path = self.broken("broken.a", data)
            _, done = self.drive(way, wire.INIT_LINKER, wire.load_archive(path),
                                 wire.lookup_symbol("answer"))
            self.assert_refused(done, re.escape(str(path)))

    @for_each(way=WAYS)
    def test_library(self, way):
        """A shared library that is none, or cut short, is GHC's to report: the answer says why, and on we go."""
        self.workspace.write("filled.c", "int filled[9000] = {1};\n")
        done = self.workspace.run("gcc", "-shared", "-o", "filled.so", "filled.c")
        self.assertEqual(done.status, 0, done)
        whole = (self.workspace.cwd / "filled.so").read_bytes()
        for data in (b"just some text\n", whole[:300], whole[:len(whole) // 3], whole[:len(whole) // 2]):
            path = self.broken("libbroken.so", data)
            driven, done = self.drive(way, wire.INIT_LINKER, wire.load_dll(path), wire.SHUTDOWN)
            self.assertEqual(done.status, 0, done)
            # Since 9.10 an Either, whose Left says why; before, Just says it.
            self.assertEqual(driven.answers[:1], b"\x00" if ghc_version() >= (9, 10) else b"\x01")
            self.assertIn(str(path).encode(), driven.answers)


USER = """
{-# LANGUAGE TemplateHaskell, ForeignFunctionInterface #-}
module User where
import Language.Haskell.TH
import Needs
$(runIO (print needed) >> pure [])
"""

NEEDS = """
{-# LANGUAGE ForeignFunctionInterface #-}
module Needs where
import Foreign.C
foreign import ccall "nobody_defines_this" needed :: CInt
"""


@expand
class MissingSymbols(IntegrationTest):
    """An object needs a symbol that nobody has."""

    @for_each(way=WAYS)
    def test_reported(self, way):
        """GHC fails, and the symbol's name is in what the user reads."""
        self.workspace.write("Needs.hs", NEEDS)
        self.workspace.write("User.hs", USER)
        built = self.workspace.run(GHC, "-c", *way.flags, "Needs.hs")
        self.assertEqual(built.status, 0, built)
        done = self.workspace.run(GHC, *external(OURS), "-c", *way.flags, "User.hs", timeout=30)
        self.assertGreater(done.status, 0, done)
        self.assertIn("nobody_defines_this", done.stderr, done)


if __name__ == "__main__":
    unittest.main()
