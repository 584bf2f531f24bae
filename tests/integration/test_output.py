"""A splice's process context is the user's own: output, input, directory, environment, options."""

import os
import pty
import unittest

from support import (GHC, OURS, PROFILING, WAYS, IntegrationTest, expand, external, for_each)

IMPORTS = """
{-# LANGUAGE TemplateHaskell, ForeignFunctionInterface #-}
module Subject where
import Control.Concurrent
import Control.Monad
import Language.Haskell.TH
import Language.Haskell.TH.Syntax
import System.Directory
import System.Environment
import System.IO
import System.Posix.Resource
import System.Process
import System.Timeout
"""

PRINTING = IMPORTS + """
$(runIO (putStrLn "1 line") >> pure [])
$(runIO (putStr "2 no newline, ") >> pure [])
$(runIO (hPutStrLn stderr "3 on stderr") >> pure [])
$(runIO (putStrLn "4 größe → 🐫") >> pure [])
$(do { reportWarning "5 a warning"; pure [] })
$(runIO (putStr "6 last words") >> pure [])
"""

PRINTED = ("1 line\n2 no newline, 4 größe → 🐫\n6 last words", "3 on stderr")

C_PRINTER = """
#include <stdio.h>
void c_say(const char *text) { printf("%s", text); }
"""

C_IMPORTS = """
{-# LANGUAGE ForeignFunctionInterface #-}
module Say where
import Foreign.C
foreign import ccall "c_say" c_say :: CString -> IO ()
say :: String -> IO ()
say text = withCString text c_say
"""

PRINTING_FROM_C = """
{-# LANGUAGE TemplateHaskell #-}
module Subject where
import Language.Haskell.TH
import Say
$(runIO (putStrLn "1 Haskell") >> pure [])
$(runIO (say "2 C, no newline, ") >> pure [])
$(runIO (putStrLn "3 Haskell") >> pure [])
$(runIO (say "4 C\\n") >> pure [])
"""

PRINTED_FROM_C = "1 Haskell\n2 C, no newline, 3 Haskell\n4 C\n"


class OutputTest(IntegrationTest):
    """Helpers to compile one module with our interpreter."""

    def compile(self, source, way, *flags, status=0, **options):
        """Compiles the text as Subject.hs; GHC itself says nothing but errors and warnings."""
        self.workspace.write("Subject.hs", source)
        done = self.workspace.ghc(OURS, "-c", "Subject.hs", *way.flags, *flags, **options)
        self.assertEqual(done.status, status, done)
        return done

    def compile_say(self, way):
        """Compiles the module that prints from C; returns the C object's name."""
        self.workspace.write("say.c", C_PRINTER)
        self.workspace.write("Say.hs", C_IMPORTS)
        for arguments in (("-fPIC", "say.c"), (*way.flags, "Say.hs")):
            done = self.workspace.run(GHC, "-c", *arguments)
            self.assertEqual(done.status, 0, done)
        return "say.o"


@expand
class PrintedText(OutputTest):
    """What a splice prints appears, whole and in order, wherever it goes."""

    @for_each(way=WAYS)
    def test_pipe(self, way):
        """Standard output and standard error are pipes."""
        done = self.compile(PRINTING, way)
        self.assertEqual(done.stdout, PRINTED[0], done)
        self.assertIn(PRINTED[1], done.stderr, done)
        self.assertIn("5 a warning", done.stderr, done)

    @for_each(way=WAYS)
    def test_one_file(self, way):
        """Both go to one file, and keep their order in it."""
        self.assert_in_order(self.compile_to_file(PRINTING, way))

    @for_each(way=WAYS)
    def test_terminal(self, way):
        """Both go to a terminal."""
        self.workspace.write("Subject.hs", PRINTING)
        command = (GHC, *external(OURS), "-c", "Subject.hs", *way.flags)
        self.assert_in_order(self.run_on_terminal(*command))

    @for_each(way=WAYS)
    def test_printf_in_c(self, way):
        """C's printf and Haskell's putStr share standard output, splice by splice."""
        say = self.compile_say(way)
        done = self.compile(PRINTING_FROM_C, way, say)
        self.assertEqual(done.stdout, PRINTED_FROM_C, done)

    @for_each(way=WAYS)
    def test_printf_in_c_to_file(self, way):
        """The same into a file, which C buffers more than a terminal."""
        say = self.compile_say(way)
        text = self.compile_to_file(PRINTING_FROM_C, way, say)
        self.assertEqual(text.split("linking is not being done: say.o\n")[-1], PRINTED_FROM_C)

    @for_each(way=WAYS)
    def test_much(self, way):
        """Two megabytes in one splice: every line arrives once."""
        done = self.compile(IMPORTS + """
$(runIO (forM_ [1 .. 200000 :: Int] print) >> pure [])
""", way)
        self.assertEqual(done.stdout.split(), [str(n) for n in range(1, 200001)])

    @for_each(way=WAYS)
    def test_before_failure(self, way):
        """What a splice printed before it failed appears too."""
        done = self.compile(IMPORTS + """
$(runIO (putStr "said before") >> fail "failed after")
""", way, status=1)
        self.assertEqual(done.stdout, "said before", done)
        self.assertIn("failed after", done.stderr, done)

    def assert_in_order(self, text):
        """The text has all that PRINTING prints, in the order of its splices."""
        places = [text.find(part) for part in ("1 line\n", "2 no newline, ", "3 on stderr\n",
                                               "4 größe → 🐫\n", "6 last words")]
        self.assertNotIn(-1, places, text)
        self.assertEqual(places, sorted(places), text)

    def compile_to_file(self, source, way, *flags):
        """Compiles with both outputs in one file; returns the file's text."""
        self.workspace.write("Subject.hs", source)
        with open(self.workspace.cwd / "log", "wb") as log:
            process = self.workspace.start(GHC, *external(OURS), "-c", "Subject.hs", *way.flags,
                                           *flags, stdout=log, stderr=log)
            self.assertEqual(process.wait(120), 0, "GHC's exit status")
        return (self.workspace.cwd / "log").read_text(encoding="utf-8")

    def run_on_terminal(self, *command):
        """Runs a command on a pseudo-terminal; returns what it wrote there."""
        leader, follower = pty.openpty()
        process = self.workspace.start(*command, stdout=follower, stderr=follower)
        os.close(follower)
        written = b"".join(iter(lambda: read_terminal(leader), b""))
        os.close(leader)
        self.assertEqual(process.wait(120), 0, written)
        return written.decode().replace("\r\n", "\n")


def read_terminal(fd):
    """Some bytes from a pseudo-terminal, none when its other side has been closed."""
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""


@expand
class ProcessContext(OutputTest):
    """Input, directory, environment and limits are those of the user's shell."""

    @for_each(way=WAYS)
    def test_stdin(self, way):
        """Splices read standard input, one after the other, where the last one stopped."""
        done = self.compile(IMPORTS + """
first, rest :: String
first = $(runIO getLine >>= stringE)
rest = $(do
  text <- runIO getContents
  runIO (hPutStr stderr ("rest: " ++ text))
  stringE text)
""", way, stdin="alpha\nbeta\ngamma")
        self.assertIn("rest: beta\ngamma", done.stderr, done)
        self.assertIn(b"alpha\0", self.object_bytes(way))

    @for_each(way=WAYS)
    def test_directory_and_environment(self, way):
        """The working directory, the environment, the mode mask and the limits are GHC's."""
        self.workspace.env["SUBJECT_VARIABLE"] = "värde"
        self.workspace.write("Subject.hs", IMPORTS + """
$(runIO (do
    getCurrentDirectory >>= putStrLn
    getEnv "SUBJECT_VARIABLE" >>= putStrLn
    writeFile "made" "by a splice"
    limit <- softLimit <$> getResourceLimit ResourceOpenFiles
    putStrLn (case limit of { ResourceLimit n -> show n; _ -> "no limit" }))
  >> pure [])
""")
        command = " ".join((GHC, *external(OURS), "-c", "Subject.hs", *way.flags))
        done = self.workspace.run("sh", "-c", f"umask 027; ulimit -n 345; exec {command}")
        self.assertEqual(done.stdout, f"{self.workspace.cwd}\nvärde\n345\n", done)
        self.assertEqual((self.workspace.cwd / "made").stat().st_mode & 0o777, 0o640)

    @for_each(way=WAYS)
    def test_changes_last_for_the_module(self, way):
        """A splice that changes directory or environment changes them for the next splices too."""
        done = self.compile(IMPORTS + """
$(runIO (createDirectory "below" >> setCurrentDirectory "below" >> setEnv "CHANGED" "yes")
  >> pure [])
$(runIO (do { getCurrentDirectory >>= putStrLn; getEnv "CHANGED" >>= putStrLn }) >> pure [])
""", way)
        self.assertEqual(done.stdout, f"{self.workspace.cwd}/below\nyes\n", done)

    @for_each(way=WAYS)
    def test_runs_programs(self, way):
        """A splice runs another program and reads what it says."""
        done = self.compile(IMPORTS + """
$(runIO (readProcess "sh" ["-c", "cat; echo $((6 * 7))"] "input " >>= putStr) >> pure [])
""", way)
        self.assertEqual(done.stdout, "input 42\n", done)

    @for_each(way=WAYS)
    def test_timeout(self, way):
        """A splice that gives something a time limit goes on when the time is over."""
        done = self.compile(IMPORTS + """
$(runIO (timeout 50000 (threadDelay 30000000) >>= print) >> pure [])
""", way)
        self.assertEqual(done.stdout, "Nothing\n", done)
        self.assertLess(done.seconds, 15, done)

    @for_each(way=WAYS)
    def test_program_left_running(self, way):
        """A program that a splice leaves running does not hold GHC up."""
        self.workspace.write("Subject.hs", IMPORTS + """
$(runIO (void (spawnCommand "exec sleep 20 <&- >&- 2>&-")) >> pure [])
""")
        done = self.workspace.run(GHC, *external(OURS), "-c", "Subject.hs", *way.flags, timeout=15)
        sleeping = [line for line in self.workspace.processes().values() if "sleep 20" in line]
        self.workspace.kill_processes()
        self.assertEqual(done.status, 0, done)
        self.assertTrue(sleeping, "the program was ended")

    def object_bytes(self, way):
        return (self.workspace.cwd / f"Subject.{way.object_suffix}").read_bytes()


@expand
class Options(OutputTest):
    """What the user hands the interpreter with -opti."""

    @for_each(way=WAYS)
    def test_trace(self, way):
        """-opti-v names each message on standard error, and leaves standard output alone."""
        done = self.compile(PRINTING, way, "-opti-v")
        for message in ("InitLinker", "ResolveObjs", "CreateBCOs", "StartTH", "RunTH", "Shutdown"):
            self.assertIn(message.lower(), done.stderr.lower(), done)
        self.assertEqual(done.stdout, PRINTED[0], done)

    @for_each(way=WAYS)
    def test_byte_code(self, way):
        """-opti-v, given twice, lists the byte code of the splice as well."""
        done = self.compile(PRINTING, way, "-opti-v", "-opti-v")
        self.assertRegex(done.stderr, r"(?m)^BCO 0: arity \d+, bitmap ", done)
        self.assertRegex(done.stderr, r"(?m)^ +\d+ +PUSH_G +", done)
        self.assertEqual(done.stdout, PRINTED[0], done)
        self.assertNotIn("BCO 0", self.compile(PRINTING, way, "-opti-v").stderr)

    @for_each(way=WAYS)
    def test_rts_options(self, way):
        """-opti+RTS reaches the interpreter's runtime system: -s prints its statistics."""
        done = self.compile(PRINTING, way, "-opti+RTS", "-opti-s", "-opti-RTS")
        self.assertRegex(done.stderr, r"[\d,]+ bytes allocated in the heap")
        self.assertIn("Total   time", done.stderr)

    @for_each(way=WAYS)
    def test_heap_limit(self, way):
        """A splice that outgrows the heap limit given with -M fails, and GHC says why."""
        done = self.compile(IMPORTS + """
$(let list = [1 .. 100000000 :: Int] in runIO (print (sum list + length list)) >> pure [])
""", way, "-opti+RTS", "-opti-M40m", "-opti-RTS", status=1, timeout=30)
        self.assertRegex(done.stderr.lower(), "heap (overflow|exhausted)", done)

    @for_each(way=WAYS)
    def test_unknown_option(self, way):
        """An option that we do not have is refused, with those that we do have."""
        done = self.compile(PRINTING, way, "-opti--frobnicate", status=1)
        self.assertIn("--frobnicate", done.stderr, done)
        self.assertRegex(done.stderr, r"(?m)^\s+-v\b")
        self.assertIn("+RTS", done.stderr, done)

    @for_each(way=[way for way in WAYS if way is PROFILING])
    def test_cost_centre_report(self, way):
        """-opti+RTS -opti-p writes a report in which the user's own functions appear."""
        self.workspace.write("Slow.hs", SLOW)
        built = self.workspace.run(GHC, "-c", "Slow.hs", "-fprof-auto", *way.flags)
        self.assertEqual(built.status, 0, built)
        self.compile(IMPORTS + "import Slow\nvalue :: Int\nvalue = $(lift (slowSum 300000))\n", way,
                     "-opti+RTS", "-opti-p", "-opti-RTS")
        reports = list(self.workspace.cwd.glob("*.prof"))
        self.assertEqual(len(reports), 1, reports)
        text = reports[0].read_text()
        self.assertRegex(text, r"total time\s+=")
        self.assertRegex(text, r"(?m)^\s*slowSum +Slow +Slow.hs:\d+")


SLOW = """
module Slow where
slowSum :: Int -> Int
slowSum n = foldr (+) 0 [m * m `mod` 7 | m <- [1 .. n]]
"""

if __name__ == "__main__":
    unittest.main()
