"""A shared session has all that an interpreter of GHC's own would have from the user's shell."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import unittest

from support import GHC, OURS, WAYS, expand, external, for_each
from terminal import Terminal
from test_sharing import SharingTest

REPORTS = """
{-# LANGUAGE TemplateHaskell #-}
module Reports where
import Facts
import Language.Haskell.TH
$(runIO (reportFacts "facts.txt") >> pure [])
"""


@dataclasses.dataclass(frozen=True)
class Condition:
    """How a user's shell starts GHC, and a pattern that the splice's report has then."""

    name: str
    shell: str
    pattern: str
    stdin: str = ""


CONDITIONS = (
    Condition("plain", "", 'calls of bump: 1'),
    Condition("input", "", 'input: "one\\\\ntwo"', "one\ntwo"),
    Condition("input_file", "echo from a file > input; exec < input;", 'input: "from a file'),
    Condition("output_file", "exec > output;", "streams: .*pipe.*output.*pipe"),
    Condition("output_files", "exec > output 2> complaints;", 'output.*complaints'),
    Condition("appending", "echo before > output; exec >> output 2>&1;", 'output.*output'),
    # What is closed is /dev/null in our interpreters.
    Condition("no_input", "exec <&-;", 'streams: \\["\\\\"/dev/null'),
    Condition("environment", "export SUBJECT='a  b' EMPTY= TWO='a\nb';"
              " export LATIN=$(printf '\\344'); unset TERM;", r"SUBJECT.,.a  b"),
    Condition("large_environment", "export LARGE=$(head -c 120000 /dev/zero | tr '\\0' x);",
              "LARGE.,.xxxx"),
    Condition("directory", "mkdir below; cp Reports.hs below; cd below;",
              r'current directory: "\S+/below"'),
    Condition("mode_mask", "umask 027;", r"Umask:\\t0027"),
    Condition("open_files", "ulimit -S -n 345;", r'open files: \("345","\d+"\)'),
    Condition("all_limits", "ulimit -n 400; ulimit -c 0; ulimit -t 1000;",
              r'open files: \("400","400"\)'),
    Condition("more_open_files", "ulimit -S -n 12000;", r'open files: \("12000"'),
    Condition("locale_c", "export LC_ALL=C LANG=C;", "ANSI_X3.4-1968|ASCII"),
    Condition("no_locale", "unset LC_ALL LANG;", "ANSI_X3.4-1968|ASCII"),
    # Not SIGHUP and SIGINT, for which GHC has handlers of its own.
    Condition("ignored_signals", "trap '' USR1 USR2 PIPE;", r'SigIgn:\\t\w+a00"'),
    Condition("blocked_signal", "set -- env --block-signal=USR1 \"$@\";",
              r"SigBlk:\\t\w+2\w\w"),
    Condition("nice", "set -- nice -n 7 \"$@\";", "niceness: "),
    Condition("one_processor", "set -- taskset -c 1 \"$@\";", r"Cpus_allowed_list:\\t1"),
)


@expand
class ProcessContext(SharingTest):
    """What a splice finds out is what it finds out in direct mode."""

    @for_each(way=WAYS)
    def test(self, way):
        self.prepare(way)
        for condition in CONDITIONS:
            with self.subTest(condition.name):
                directly = self.compile_in(condition, way, share="off")
                self.assertRegex("\n".join(directly[0]), condition.pattern)
                before = self.status()
                shared = self.compile_in(condition, way, share="on")
                for one, other in zip(directly, shared, strict=True):
                    self.assertEqual(one, other)
                self.assertEqual(self.status().attaches, before.attaches + 1, "not shared")

    def prepare(self, way):
        """A broker that has all libraries, and was started by a GHC unlike those that come."""
        self.package = self.make_package(way)
        self.workspace.write("Reports.hs", REPORTS)
        self.plain = set(self.files())
        for _ in range(2):
            self.compile_in(CONDITIONS[0], way, share="on")
            self.wait_until_grown()

    def compile_in(self, condition, way, share):
        """Compiles under the condition: the splice's report, all that GHC said and its exit status."""
        command = (GHC, *external(OURS), "-v0", "-c", *way.flags, *self.package.flags, "Reports.hs")
        self.workspace.env["ISERV_SHARE"] = share
        done = self.workspace.run("sh", "-c", f'{condition.shell}\n exec "$@"', "sh", *command,
                                  stdin=condition.stdin, timeout=20)
        report = "".join(path.read_text() for path in self.workspace.cwd.rglob("facts.txt"))
        written = {name: (self.workspace.cwd / name).read_bytes() for name in ("output", "complaints")
                   if (self.workspace.cwd / name).exists()}
        for name in set(self.files()) - self.plain:
            path = self.workspace.cwd / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        report = report.replace(f'("ISERV_SHARE","{share}")', "")
        report = re.sub(r"pipe:\[\d+\]", "pipe", report).splitlines()
        return (report, done.stdout, done.stderr, done.status, written)

    def files(self):
        return os.listdir(self.workspace.cwd)


SPINS = """
{-# LANGUAGE TemplateHaskell #-}
module Spins where
import Control.Concurrent
import Control.Exception
import Control.Monad
import Language.Haskell.TH
import Subject
$(runIO (writeFile "spinning" "" >> (ACTION)) >> pure [])
"""

SPINNING = {
    "allocating": "print (length [1 :: Integer ..])",
    "waiting": "threadDelay 1000000000",
    "in_c": "sleepInC 1000 >>= print",
    "catching": "forever (threadDelay 1000000000 `catch` \\e -> print (e :: SomeException))",
}


@expand
class Interrupts(SharingTest):
    """The terminal's signals reach a session, though it is not a child of the user's shell."""

    @for_each(action=SPINNING)
    @for_each(way=WAYS)
    def test_group(self, action, way):
        """^C goes to the process group of GHC; all is over within two seconds."""
        spinning, session = self.spin(action, way)
        os.killpg(spinning.pid, signal.SIGINT)
        self.assertNotEqual(spinning.wait(2), 0)
        self.assert_ended(session)

    def spin(self, action, way):
        """Starts a compilation and waits until its splice is running: (GHC, the session's pid)."""
        package = self.make_package(way)
        self.warm(package, way)
        self.workspace.write("Spins.hs", SPINS.replace("ACTION", SPINNING[action]))
        process = self.start_compile(way, *package.flags, "Spins.hs", stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
        self.wait_for_file("spinning", process)
        status = self.status()
        self.assertEqual(len(status.sessions), 1, status)
        return process, status.sessions[0].pid

    def assert_ended(self, session):
        self.wait_for(lambda: session not in self.living(), "the session has ended", seconds=1)
        self.assertEqual(len(self.brokers()), 1, "^C is nothing to the broker")


ASKS = """
{-# LANGUAGE TemplateHaskell #-}
module Asks where
import Language.Haskell.TH
import Subject
import System.IO
$(runIO (do
    _ <- bump
    putStr "name? " >> hFlush stdout
    name <- getLine
    terminal <- mapM hIsTerminalDevice [stdin, stdout, stderr]
    putStrLn ("hello, " ++ name ++ show terminal)) >> pure [])
"""


@expand
class AtTheTerminal(SharingTest):
    @for_each(way=WAYS)
    def test_conversation(self, way):
        """A splice asks the user at the terminal."""
        package = self.make_package(way)
        self.warm(package, way)
        self.workspace.write("Asks.hs", ASKS)
        terminal = self.open(way, package, "Asks.hs")
        terminal.wait_for("name? ")
        terminal.type("Größe\n")
        terminal.wait_for("hello, Größe[True,True,True]\n")
        self.assertEqual(terminal.wait_for_end(), 0)

    @for_each(way=WAYS)
    def test_control_c(self, way):
        package = self.make_package(way)
        self.warm(package, way)
        self.workspace.write("Spins.hs", SPINS.replace("ACTION", SPINNING["waiting"]))
        terminal = self.open(way, package, "Spins.hs")
        self.wait_for_file("spinning", terminal.process)
        terminal.press_control_c()
        self.assertNotEqual(terminal.wait_for_end(3), 0)
        self.wait_for_no_session()

    def open(self, way, package, source):
        terminal = Terminal(self.workspace, GHC, *external(OURS), "-v0", "-c", *way.flags,
                            *package.flags, source)
        self.addCleanup(terminal.close)
        return terminal


if __name__ == "__main__":
    unittest.main()
