"""Splices that fail, crash or never end: what the user is told, and that it is over then."""

import dataclasses
import os
import re
import signal
import subprocess
import time
import unittest

from support import GHC, OURS, WAYS, IntegrationTest, expand, external, for_each, peer

HEAD = """
{-# LANGUAGE TemplateHaskell, ForeignFunctionInterface #-}
module Subject where
import Control.Concurrent
import Control.Exception
import Control.Monad
import Foreign
import Language.Haskell.TH
import Language.Haskell.TH.Syntax
import System.Exit
import System.IO
import System.Posix.Process (getProcessID)
import System.Posix.Signals
import Calls
value :: Int
value = 3
"""

CALLS = """
{-# LANGUAGE ForeignFunctionInterface #-}
module Calls where
import Foreign.C
foreign import ccall "abort" c_abort :: IO ()
foreign import ccall "exit" c_exit :: CInt -> IO ()
foreign import ccall "_exit" c__exit :: CInt -> IO ()
foreign import ccall unsafe "sleep" c_sleep :: CUInt -> IO CUInt
foreign import ccall "deep" c_deep :: CInt -> IO CInt
"""

C_CALLS = """
int deep(int n) { volatile int pad[1000]; pad[n % 1000] = n; return deep(n + 1) + pad[7]; }
"""

SPLICE_LINE = HEAD.count("\n") + 1


@dataclasses.dataclass(frozen=True)
class Case:
    """A splice and the words that must be in what the user reads about it."""

    name: str
    splice: str
    words: tuple = ()


FAILURES = (
    Case("fail", 'fail "the reason"', ("the reason",)),
    Case("error", 'error "a call of error"', ("a call of error", "Subject.hs")),
    Case("report", 'reportError "reported" >> reportError "twice" >> pure []',
         ("reported", "twice")),
    Case("warn_and_fail", 'reportWarning "warned" >> fail "failed"', ("warned", "failed")),
    Case("exception", 'runIO (throwIO Overflow)', ("arithmetic overflow",)),
    Case("file", 'runIO (readFile "no-such-file") >> pure []', ("no-such-file",)),
    Case("exit", "runIO (exitWith (ExitFailure 9))", ("ExitFailure 9",)),
    Case("pattern", "let Just x = Nothing in x", ("Non-exhaustive",)),
    Case("lazy_error", 'sequence [valD (varP (mkName "x")) (normalB (litE (integerL '
         '(error "deep inside")))) []]',
         ("deep inside",)),
    Case("unknown_name", 'reify (mkName "missingThing") >>= const (pure [])', ("missingThing",)),
    Case("ill_typed", '[d|wrong :: Int; wrong = True|]', ("Bool",)),
    # The thread's exception is reported after it has filled the box: give it the time.
    Case("thread", 'runIO (do { box <- newEmptyMVar; _ <- forkIO (throwIO (ErrorCall "thread died")'
         ' `finally` putMVar box ()); takeMVar box; threadDelay 300000 }) >> fail "afterwards"',
         ("afterwards",)),
)

CRASHES = (
    Case("null_pointer", "runIO (peek nullPtr :: IO Int) >> pure []", ("SIGSEGV|Segmentation",)),
    Case("wild_write", "runIO (poke (nullPtr `plusPtr` 4096) 'x') >> pure []",
         ("SIGSEGV|Segmentation",)),
    Case("raised", "runIO (raiseSignal sigSEGV >> threadDelay 5000000) >> pure []",
         ("SIGSEGV|Segmentation",)),
    Case("abort", "runIO c_abort >> pure []", ("SIGABRT|Abort",)),
    Case("deep_recursion", "runIO (c_deep 0) >> pure []", ("SIGSEGV|Segmentation",)),
)

EXITS = (
    Case("exit", "runIO (c_exit 3) >> pure []", (r"\b3\b",)),
    Case("exit_0", "runIO (c__exit 0) >> pure []"),
    Case("killed", "runIO (getProcessID >>= signalProcess sigKILL) >> runIO (threadDelay 5000000)"
         " >> pure []", ("SIGKILL|Killed",)),
)

ENDLESS = (
    Case("allocating", 'runIO (hPutStrLn stderr "begun" >> print (length [1 :: Integer ..]))'
         ' >> pure []'),
    Case("waiting", 'runIO (hPutStrLn stderr "begun" >> threadDelay 1000000000) >> pure []'),
    Case("in_c", 'runIO (hPutStrLn stderr "begun" >> c_sleep 1000) >> pure []'),
    Case("catching", 'runIO (hPutStrLn stderr "begun" >> forever (threadDelay 1000000000 '
         '`catch` (const (pure ()) :: SomeException -> IO ()))) >> pure []'),
)

FRAME = re.compile(r"^\s*#?\d+\s+\w", re.MULTILINE)


class SubjectTest(IntegrationTest):
    """Compiles one splice in a module that can call C."""

    def prepare(self, way, splice):
        """Writes the module; returns GHC's arguments to compile it."""
        self.workspace.write("Calls.hs", CALLS)
        self.workspace.write("calls.c", C_CALLS)
        self.workspace.write("Subject.hs", f"{HEAD}$({splice})\n")
        for arguments in (("-fPIC", "-optc-O0", "calls.c"), (*way.flags, "Calls.hs")):
            built = self.workspace.run(GHC, "-c", *arguments)
            self.assertEqual(built.status, 0, built)
        return ("-c", "Subject.hs", *way.flags, "calls.o")

    def compile(self, iserv, arguments):
        return self.workspace.run(GHC, *external(iserv), *arguments, timeout=30)


@expand
class Failures(SubjectTest):
    """A splice that fails is reported as it is with GHC's own interpreter."""

    @for_each(case=FAILURES)
    @for_each(way=WAYS)
    def test(self, case, way):
        arguments = self.prepare(way, case.splice)
        ours = self.compile(OURS, arguments)
        for word in case.words:
            self.assertIn(word, ours.stderr, ours)
        self.assertEqual(ours.status, 1, ours)
        theirs = self.compile(peer(), arguments)
        self.assertEqual(in_our_name(theirs.stderr, way), ours.stderr)
        self.assertEqual(theirs.status, ours.status)


def in_our_name(text, way):
    """What GHC's interpreter said, as if the program had been called ours."""
    return text.replace(f"ghc-iserv{way.suffix}:", f"{os.path.basename(OURS)}{way.suffix}:")


@expand
class Crashes(SubjectTest):
    """A splice that takes the interpreter with it: which one, how, and where in the code."""

    @for_each(case=CRASHES)
    @for_each(way=WAYS)
    def test_signal(self, case, way):
        """The user reads the splice's place, the signal and a backtrace."""
        ours = self.assert_reported(case, way)
        self.assertGreaterEqual(len(FRAME.findall(ours.stderr)), 3, f"no backtrace: {ours}")

    @for_each(case=EXITS)
    @for_each(way=WAYS)
    def test_exit(self, case, way):
        """C's exit and an outright kill leave no backtrace, but the place and the cause."""
        self.assert_reported(case, way)

    @for_each(way=WAYS)
    def test_at_prompt(self, way):
        """In GHCi it is a statement."""
        done = self.workspace.run(GHC, "--interactive", "-v0", "-ignore-dot-ghci", *external(OURS),
                                  *way.flags, stdin="import Foreign\npeek nullPtr :: IO Int\n")
        self.assertRegex(done.stderr, "SIGSEGV|Segmentation")
        self.assertIn("statement", done.stderr, done)
        self.assertGreaterEqual(len(FRAME.findall(done.stderr)), 3, f"no backtrace: {done}")

    def assert_reported(self, case, way):
        """Our report has all it should, and GHC ends as it does with its own interpreter."""
        arguments = self.prepare(way, case.splice)
        ours = self.compile(OURS, arguments)
        self.assertIn(f"Subject.hs:{SPLICE_LINE}", ours.stderr, ours)
        for word in case.words:
            self.assertRegex(ours.stderr, word, ours)
        theirs = self.compile(peer(), arguments)
        self.assertEqual(theirs.status, ours.status)
        return ours


@expand
class Interrupts(SubjectTest):
    """^C while a splice runs ends GHC and all that it started."""

    @for_each(case=ENDLESS)
    @for_each(way=WAYS)
    def test_batch(self, case, way):
        """The whole process group gets SIGINT, as from a terminal; two seconds are enough."""
        process = self.begin(case, way)
        os.killpg(process.pid, signal.SIGINT)
        self.assertNotEqual(self.status(process, 2), 0)
        self.assertFalse(self.workspace.wait_until_empty(1), "processes outlived GHC")

    @for_each(way=WAYS)
    def test_ghc_alone(self, way):
        """SIGTERM for GHC alone, as from a build tool, is enough too."""
        process = self.begin(ENDLESS[1], way)
        process.send_signal(signal.SIGTERM)
        self.assertNotEqual(self.status(process, 2), 0)
        self.assertFalse(self.workspace.wait_until_empty(1), "processes outlived GHC")

    def begin(self, case, way):
        """Starts a compilation and waits until its splice is running."""
        arguments = self.prepare(way, case.splice)
        process = self.workspace.start(GHC, *external(OURS), *arguments, stderr=subprocess.PIPE)
        self.addCleanup(process.stderr.close)
        said = process.stderr.readline()
        while said and not said.endswith(b"begun\n"):
            said = process.stderr.readline()
        self.assertTrue(said, "the splice did not begin")
        time.sleep(0.2)
        return process

    def status(self, process, seconds):
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.workspace.kill_processes()
            self.fail(f"GHC has not ended within {seconds} s")


if __name__ == "__main__":
    unittest.main()
