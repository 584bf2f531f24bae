"""How an interpreter ends: everything that `exit` does happens, and what is blocked for ever is told so."""

import os
import subprocess
import time
import unittest

from support import GHC, OURS, WAYS, IntegrationTest, expand, external, for_each, peer

STATIC_WAYS = [way for way in WAYS if way.name != "dynamic"]

# What it writes is a record of which of exit()'s duties were done, in which order.
SHARED_OBJECT = """
#include <cstdlib>
#include <fstream>
#include <unistd.h>
static void note(const char *what) { std::ofstream("log", std::ios::app) << what << std::endl; }
struct Stream { std::ofstream file; Stream() : file("stream") {} ~Stream() { file << "closed\\n"; note("static object"); } };
static void handler() { note("atexit"); }
__attribute__((destructor)) static void destructor() { note("destructor"); }
extern "C" int use(int how) {
  static Stream stream;
  stream.file << "used " << how << "\\n";
  atexit(handler);
  if (how == 2) atexit([] { sleep(100); });
  if (how == 3) atexit([] { abort(); });
  if (how == 4) exit(5);
  return how;
}
"""

OBJECT = """
#include <stdio.h>
#include <stdlib.h>
static FILE *file;
static void handler(void) { fputs("atexit\\n", file); }
int use(int how) {
  file = fopen("log", "w");
  fprintf(file, "used %d\\n", how);
  return atexit(handler) + how;
}
"""

USE = """
{-# LANGUAGE ForeignFunctionInterface #-}
module Use where
foreign import ccall "use" use :: Int -> IO Int
"""

SUBJECT = """
{-# LANGUAGE TemplateHaskell #-}
module Subject where
import Language.Haskell.TH
import Language.Haskell.TH.Syntax
import Use
x :: Int
x = $(runIO (use HOW) >>= lift)
"""

BLOCKED = """
{-# LANGUAGE TemplateHaskell #-}
module Blocked where
import Control.Concurrent
import GHC.Conc
import Language.Haskell.TH
$(runIO (ACTION) >> pure [])
"""


class EndTest(IntegrationTest):
    own_broker = True

    def setUp(self):
        super().setUp()
        self.addCleanup(self.stop_broker)
        # In the dynamic way GHC links the splice's module with the library, which the loader then looks for.
        self.workspace.env["LD_LIBRARY_PATH"] = str(self.workspace.cwd)

    def stop_broker(self):
        self.workspace.run(os.path.join(os.path.dirname(OURS), "..", "iservctl"), "stop")

    def compile(self, way, name, iserv=OURS, share="on", flags=()):
        self.workspace.env["ISERV_SHARE"] = share
        return self.workspace.ghc(iserv, *way.flags, "-c", "-fforce-recomp", name, *flags)

    def make_library(self, source, *command):
        self.workspace.write("library" + (".cc" if command[0] == "g++" else ".c"), source)
        done = self.workspace.run(*command)
        self.assertEqual(done.status, 0, done)

    def make_shared_object(self):
        self.make_library(SHARED_OBJECT, "g++", "-std=c++11", "-shared", "-fPIC", "library.cc", "-o", "libuse.so")

    def make_subject(self, way, how):
        self.workspace.write("Use.hs", USE)
        self.workspace.write("Subject.hs", SUBJECT.replace("HOW", str(how)))
        done = self.workspace.run(GHC, *way.flags, "-c", "Use.hs")
        self.assertEqual(done.status, 0, done)

    def records(self):
        """What was written, file by file; the files are gone then."""
        found = {}
        for name in ("log", "stream"):
            path = self.workspace.cwd / name
            if path.exists():
                found[name] = path.read_text()
                path.unlink()
        return found

    def library(self):
        """GHC's arguments for the library that was made."""
        made = self.workspace.cwd / "library.o"
        return (str(made),) if made.exists() else (f"-L{self.workspace.cwd}", "-luse")

    def records_of_compile(self, way, status=0, **options):
        done = self.compile(way, "Subject.hs", flags=self.library(), **options)
        self.assertEqual(done.status == 0, status == 0, done)
        return self.records()


@expand
class ExitHandlers(EndTest):
    """GHC goes on when its interpreter has ended, and finds what that has written at its end."""

    def check(self, way):
        expected = self.records_of_compile(way, iserv=peer())
        self.assertIn("atexit", expected["log"])
        self.assertEqual(self.records_of_compile(way, share="off"), expected, "direct")
        for turn in ("cold", "second", "warm"):
            self.assertEqual(self.records_of_compile(way), expected, turn)
            time.sleep(0.5)
        return expected

    @for_each(way=WAYS)
    def test_of_a_shared_object(self, way):
        self.make_shared_object()
        self.make_subject(way, 1)
        expected = self.check(way)
        self.assertEqual(expected["stream"], "used 1\nclosed\n")
        self.assertEqual(sorted(expected["log"].split("\n")), ["", "atexit", "destructor", "static object"])

    @for_each(way=STATIC_WAYS)
    def test_of_an_object(self, way):
        self.make_library(OBJECT, "gcc", "-c", "library.c")
        self.make_subject(way, 1)
        self.assertEqual(self.check(way)["log"], "used 1\natexit\n")

    @for_each(way=WAYS)
    def test_that_crash(self, way):
        """They crash when GHC has all that it wants, as with its own interpreter."""
        self.make_shared_object()
        self.make_subject(way, 3)
        for share in ("off", "on", "on"):
            self.records_of_compile(way, share=share)

    @for_each(way=WAYS[:1], share=("off", "on"))
    def test_that_hang(self, way, share):
        """They have ten seconds, and then GHC goes on; nothing stays."""
        self.make_shared_object()
        self.make_subject(way, 2)
        started = time.monotonic()
        self.records_of_compile(way, share=share)
        self.assertGreater(time.monotonic() - started, 5)
        self.assertLess(time.monotonic() - started, 20)

    @for_each(way=WAYS)
    def test_when_a_splice_exits(self, way):
        self.make_shared_object()
        self.make_subject(way, 4)
        expected = self.records_of_compile(way, status=1, iserv=peer())
        self.assertEqual(expected["stream"], "used 4\nclosed\n")
        for share in ("off", "on", "on"):
            self.assertEqual(self.records_of_compile(way, status=1, share=share), expected, share)

    @for_each(way=WAYS, share=("off", "on"))
    def test_when_the_compiler_dies(self, way, share):
        """An interpreter whose GHCi is killed while it waits at the prompt ends in good order."""
        self.check_death(way, share, "use 1")

    @for_each(way=WAYS, share=("off", "on"))
    def test_when_the_compiler_dies_in_a_statement(self, way, share):
        """So does one whose statement ends soon."""
        self.check_death(way, share, "use 1 >>= print >> System.IO.hFlush System.IO.stdout >> "
                                     "Control.Concurrent.threadDelay 50000")

    def check_death(self, way, share, statement):
        self.make_shared_object()
        self.make_subject(way, 1)
        self.workspace.env["ISERV_SHARE"] = share
        ghci = self.workspace.start(GHC, *external(OURS), *way.flags, "-fobject-code", "--interactive", "-v0", "Use.hs",
                                    *self.library(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ghci.stdin.write(statement.encode() + b"\n")
        ghci.stdin.flush()
        self.assertEqual(ghci.stdout.readline(), b"1\n")
        ghci.kill()
        ghci.communicate()
        deadline = time.monotonic() + 5
        while not (self.workspace.cwd / "log").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)
        self.assertEqual(self.records().get("stream"), "used 1\nclosed\n")


@expand
class BlockedForEver(EndTest):
    """The RTS finds what nothing can wake, as in a compiled program."""

    ACTIONS = {"newEmptyMVar >>= takeMVar": "thread blocked indefinitely in an MVar operation",
               "newEmptyMVar >>= readMVar": "thread blocked indefinitely in an MVar operation",
               "atomically retry": "thread blocked indefinitely in an STM transaction"}

    @for_each(way=WAYS, share=("off", "on"))
    def test_splice(self, way, share):
        for action, expected in self.ACTIONS.items():
            with self.subTest(action):
                self.workspace.write("Blocked.hs", BLOCKED.replace("ACTION", action))
                done = self.compile(way, "Blocked.hs", share=share)
                self.assertEqual(done.status, 1, done)
                self.assertIn(expected, done.stderr)

    @for_each(way=WAYS, share=("off", "on"))
    def test_statement(self, way, share):
        """At GHCi's prompt, whose next statement is run."""
        self.workspace.env["ISERV_SHARE"] = share
        said = self.workspace.run(GHC, *external(OURS), *way.flags, "--interactive", "-v0", stdin=(
            "import Control.Concurrent\nnewEmptyMVar >>= takeMVar :: IO ()\n1 + 1\n"))
        self.assertIn("thread blocked indefinitely in an MVar operation", said.stderr)
        self.assertEqual(said.stdout, "2\n")


if __name__ == "__main__":
    unittest.main()
