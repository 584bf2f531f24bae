"""What a splice does to its process, no other session sees: none before it, beside it or after it."""

import dataclasses
import re
import signal
import subprocess
import unittest

from support import WAYS, expand, for_each
from test_sharing import SharingTest

IMPORTS = """
{-# LANGUAGE TemplateHaskell #-}
import Control.Concurrent
import Control.Monad
import Facts
import Foreign
import Foreign.C
import Language.Haskell.TH
import Subject
import System.Directory
import System.Environment
import System.Exit
import System.IO
import System.Posix.Files
import System.Posix.Process
import System.Posix.Signals
"""

WITNESS = IMPORTS.replace("import", "module Witness where\nimport", 1) + """
$(runIO (reportFacts "facts.txt") >> pure [])
"""

BESIDE = IMPORTS.replace("import", "module Beside where\nimport", 1) + """
$(runIO (waitForFile "beside is here" "beside goes on") >> pure [])
$(runIO (reportFacts "beside.txt") >> pure [])
"""

CULPRIT = IMPORTS.replace("import", "module Culprit where\nimport", 1) + """
$(runIO (ACTION) >> pure [])
$(runIO (waitForFile "DIRECTORY/culprit is done" "DIRECTORY/culprit goes on") >> pure [])
$(runIO (putStr "a word") >> pure [])
"""


@dataclasses.dataclass(frozen=True)
class Deed:
    """What a splice does, and whether it lives to tell."""

    name: str
    action: str
    survives: bool = True


DEEDS = (
    Deed("state_of_a_library", "replicateM_ 10 bump"),
    Deed("environment", 'setEnv "CULPRIT" "was here" >> unsetEnv "HOME"'),
    Deed("directory", 'setCurrentDirectory "/"'),
    Deed("mask_of_file_modes", "setFileCreationMask 0o777 >> pure ()"),
    Deed("buffering", "hSetBuffering stdout NoBuffering >> hSetBuffering stdin NoBuffering"
         " >> hSetEncoding stdout latin1"),
    Deed("closed_output", "hClose stdout >> hClose stdin"),
    Deed("unfinished_output", "hSetBuffering stdout (BlockBuffering Nothing)"
         " >> putStr (replicate 50 'x')"),
    Deed("signal_handlers", "forM_ [sigHUP, sigUSR1, sigTERM]"
         " (\\s -> installHandler s (Catch (pure ())) Nothing)"
         " >> installHandler sigUSR2 Ignore Nothing"
         " >> blockSignals (addSignal sigUSR2 emptySignalSet)"),
    Deed("gigabyte", "mallocBytes (2 ^ 30) >>= \\p -> fillBytes (p :: Ptr Word8) 1 (2 ^ 30)"),
    Deed("threads", "replicateM_ 100 (forkIO (forever (threadDelay 1000 >> bump)))"),
    Deed("niceness", "nice 3"),
    Deed("exit_in_c", "exitImmediately (ExitFailure 3)", survives=False),
    Deed("exit", "exitWith (ExitFailure 3)", survives=False),
    Deed("null_pointer", "poke nullPtr (1 :: Int)", survives=False),
    Deed("killed", "getProcessID >>= signalProcess sigTERM >> threadDelay 5000000", survives=False),
)


@expand
class Isolation(SharingTest):
    """One zygote serves witnesses and culprits; witnesses see what they see in direct mode."""

    @for_each(way=WAYS)
    def test(self, way):
        package = self.make_package(way)
        # So that GHC loads the same for all of the modules, and first of all.
        self.flags = (*package.flags, "-package", "subject")
        self.workspace.write("Witness.hs", WITNESS)
        self.workspace.write("Beside.hs", BESIDE)
        facts = self.facts_of_witness(way, direct=True)
        for _ in range(2):
            self.assertEqual(self.facts_of_witness(way), facts, "before")
            self.wait_until_grown()
        for deed in DEEDS:
            with self.subTest(deed.name):
                self.check(deed, way, facts)

    def check(self, deed, way, facts):
        culprit = CULPRIT.replace("ACTION", deed.action).replace("DIRECTORY", str(self.workspace.cwd))
        self.workspace.write("Culprit.hs", culprit)
        beside = self.start_beside(way)
        before = self.status()

        culprit = self.start_compile(way, *self.flags, "Culprit.hs", stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if deed.survives:
            self.wait_for_file("culprit is done", culprit)
            self.assertEqual(self.facts_of_witness(way), facts, "beside, started after")
            self.workspace.write("culprit goes on", "")
        said = culprit.communicate(timeout=30)
        self.assertEqual(self.facts_of_witness(way), facts, "after")
        self.workspace.write("beside goes on", "")
        self.assertEqual(beside.wait(30), 0)
        self.assertEqual(self.read("beside.txt"), facts, "beside, started before")

        after = self.wait_for_no_session()
        sessions = 3 if deed.survives else 2
        self.assertEqual(after.attaches - before.attaches, sessions)
        self.assertEqual(after.hits - before.hits, sessions)
        self.workspace.write("culprit goes on", "")
        alone = self.compile_directly(way, *self.flags, "Culprit.hs", status=None)
        self.assertEqual((culprit.returncode, said[0].decode()), (alone.status, alone.stdout), said[1])
        for name in ("culprit is done", "culprit goes on", "beside goes on"):
            (self.workspace.cwd / name).unlink(missing_ok=True)

    def start_beside(self, way):
        beside = self.start_compile(way, *self.flags, "Beside.hs", stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for stream in (beside.stdout, beside.stderr):
            self.addCleanup(stream.close)
        beside.stdin.close()
        self.wait_for_file("beside is here", beside)
        return beside

    def facts_of_witness(self, way, direct=False):
        compile_it = self.compile_directly if direct else self.compile
        done = compile_it(way, *self.flags, "Witness.hs")
        self.assertEqual((done.stdout, done.stderr), ("größe\n", "länge\n"))
        return self.read("facts.txt")

    def read(self, name):
        """A splice's report, without what is different each time; the file is removed."""
        path = self.workspace.cwd / name
        text = path.read_text()
        path.unlink()
        text = text.replace('("ISERV_SHARE","off"),', "")
        return re.sub(r"pipe:\[\d+\]", "pipe", text).splitlines()


LOOPS = (
    Deed("allocating", "print (length [1 :: Integer ..])"),
    Deed("catching", "forever (threadDelay 1000000000 `catch` \\e -> print (e :: SomeException))"),
    Deed("in_c", "sleepInC 1000"),
)

LOOPING = IMPORTS.replace("import", "module Looping where\nimport Control.Exception\nimport", 1) + """
$(runIO (writeFile "looping" "" >> (ACTION)) >> pure [])
"""


@expand
class Endless(SharingTest):
    """Sessions that do not end by themselves end with their GHC."""

    @for_each(way=WAYS)
    def test_killed(self, way):
        package = self.make_package(way)
        self.warm(package, way)
        for loop in LOOPS:
            for number in (signal.SIGKILL, signal.SIGTERM):
                with self.subTest(f"{loop.name} {number.name}"):
                    self.check(loop, number, package, way)

    def check(self, loop, number, package, way):
        self.workspace.write("Looping.hs", LOOPING.replace("ACTION", loop.action))
        looping = self.start_compile(way, *package.flags, "Looping.hs", stderr=subprocess.DEVNULL)
        self.wait_for_file("looping", looping)
        status = self.status()
        self.assertEqual(len(status.sessions), 1, status)
        looping.send_signal(number)
        looping.wait(5)
        session = status.sessions[0].pid
        self.wait_for(lambda: session not in self.living(), "the session has ended", seconds=1)
        self.assertEqual(self.wait_for_no_session().pid, status.pid)
        self.assert_says(package.value, package, way)


RANDOM = """
{-# LANGUAGE TemplateHaskell #-}
module Random where
import Control.Monad
import Data.Time.Clock
import Data.Word
import GHC.Clock
import Language.Haskell.TH
import Subject
import System.Directory
import System.IO
import System.Posix.Process
import System.Random
$(runIO (do
  _ <- bump
  newStdGen >>= print . fst . (random :: StdGen -> (Word64, StdGen))
  (randomIO :: IO Word64) >>= print
  getCurrentTime >>= print
  getMonotonicTimeNSec >>= print
  getProcessID >>= print
  (file, handle) <- openTempFile "." "made"
  print file
  hClose handle) >> pure [])
"""


@expand
class Different(SharingTest):
    """What should differ between two processes does."""

    @for_each(way=WAYS)
    def test(self, way):
        """Random numbers, times, process ids and the names of temporary files."""
        package = self.make_package(way)
        self.workspace.write("Random.hs", RANDOM)
        for _ in range(2):
            self.compile(way, *package.flags, "Random.hs")
            self.wait_until_grown()
        before = self.status()
        running = [self.start_compile(way, *package.flags, "Random.hs", "-o", f"{n}.o",
                                      "-ohi", f"{n}.hi", stdout=subprocess.PIPE) for n in range(3)]
        said = [process.communicate(timeout=60)[0].decode().splitlines() for process in running]
        said += [self.compile(way, *package.flags, "Random.hs").stdout.splitlines() for _ in range(3)]
        self.assertEqual(self.status().hits, before.hits + 6)
        for name, values in zip(("newStdGen", "randomIO", "time", "monotonic time", "process id",
                                 "temporary file"), zip(*said, strict=True), strict=True):
            self.assertEqual(len(set(values)), 6, f"{name}: {values}")


if __name__ == "__main__":
    unittest.main()
