"""What a client has besides its streams: further descriptors, a terminal, jobs, the size of its stack."""

import os
import pathlib
import signal
import subprocess
import time
import unittest

from support import GHC, OURS, WAYS, expand, external, for_each, peer, send_signal
from terminal import Terminal
from test_sharing import SharingTest

SUBJECT = """
{-# LANGUAGE TemplateHaskell #-}
module Subject where
import Control.Concurrent
import Control.Monad
import Language.Haskell.TH
import System.IO
import System.Process
$(runIO (ACTION) >> pure [])
"""

SHELL = 'callProcess "bash" ["-c", "COMMAND"]'


class ClientTest(SharingTest):

    def subject(self, action):
        self.workspace.write("Subject.hs", SUBJECT.replace("ACTION", action))

    def command(self, way, iserv=OURS):
        return (GHC, *external(iserv), "-v0", "-c", "-fforce-recomp", *way.flags, "Subject.hs")

    def outcomes(self, way, run):
        """What comes out with GHC's own interpreter, alone, and shared, cold and warm; the same, or the test fails."""
        self.workspace.env["ISERV_SHARE"] = "off"
        expected = run(self.command(way, peer()))
        self.assertEqual(run(self.command(way)), expected, "direct")
        self.workspace.env["ISERV_SHARE"] = "on"
        for turn in ("cold", "warm"):
            self.assertEqual(run(self.command(way)), expected, turn)
        return expected


@expand
class Descriptors(ClientTest):
    """A splice has its compiler's descriptors, at the same numbers, and nobody keeps them."""

    def shell(self, before):
        def run(command):
            done = self.workspace.run("bash", "-c", before + ' exec "$@"', "bash", *command)
            self.assertEqual(done.status, 0, done)
            return done.stdout
        return run

    @for_each(way=WAYS)
    def test_numbers(self, way):
        """Low ones, those that an interpreter would take for itself, and high ones."""
        self.workspace.write("input", "first\nsecond\nthird\n")
        self.subject(SHELL.replace("COMMAND", "read line <&3; echo $line; read line <&150; echo $line; echo x >&7; cat output"
                                              "; read line <&300; echo $line"))
        before = "rm -f output; exec 3<input 7>output 150<&3 300<&3;"
        self.assertEqual(self.outcomes(way, self.shell(before)), "first\nsecond\nx\nthird\n")

    @for_each(way=WAYS[:1])
    def test_process_substitution(self, way):
        self.subject(SHELL.replace("COMMAND", "cat /dev/fd/61"))
        done = self.outcomes(way, self.shell('exec 61< <(echo substituted);'))
        self.assertEqual(done, "substituted\n")

    @for_each(way=WAYS[:1])
    def test_job_server(self, way):
        """Tokens are taken from make's pipe and given back."""
        self.subject(SHELL.replace("COMMAND", "make --no-print-directory -f inner a b"))
        self.workspace.write("inner", "a b:\n\t@echo made\n")

        def run(command):
            self.workspace.write("Makefile", "all:\n\t+@" + " ".join(map(str, command)) + "\n")
            done = self.workspace.run("make", "-j3")
            self.assertEqual((done.status, done.stderr), (0, ""), done)
            return done.stdout
        self.assertEqual(self.outcomes(way, run), "made\nmade\n")

    @for_each(way=WAYS)
    def test_end_with_the_compile(self, way):
        """The broker and its zygotes do not hold what a client has passed on, nor more than a packet takes."""
        self.subject("pure ()")
        for count in (1, 300):
            for _ in range(2):
                pipes = [os.pipe() for _ in range(count)]
                held = [end for _, end in pipes]
                compiler = self.workspace.start(*self.command(way), pass_fds=held)
                for end in held:
                    os.close(end)
                self.assertEqual(compiler.wait(60), 0)
                for end, _ in pipes:
                    os.set_blocking(end, False)
                    self.assertEqual(os.read(end, 1), b"")
                    os.close(end)


@expand
class Terminals(ClientTest):
    """Clients of a terminal have it, and are what its keys mean."""

    def tearDown(self):
        super().tearDown()
        if hasattr(self, "terminal"):
            self.terminal.process.kill()
            self.terminal.process.wait()

    def open(self, *command):
        self.terminal = Terminal(self.workspace, *command)
        return self.terminal

    @for_each(way=WAYS, share=("off", "on"))
    def test_prompt(self, way, share):
        """A splice asks at /dev/tty, as for a passphrase."""
        self.workspace.env["ISERV_SHARE"] = share
        self.subject('withFile "/dev/tty" ReadWriteMode (\\\\h -> hPutStr h "secret? " >> hFlush h >> hGetLine h'
                     ' >>= \\\\s -> hPutStrLn h ("it is " ++ s))'.replace("\\\\", "\\"))
        terminal = self.open("sh", "-c", 'for i in 1 2; do "$@"; done; echo end', "sh", *self.command(way))
        for word in ("one", "two"):
            terminal.wait_for("secret? ")
            terminal.type(word + "\n")
            terminal.wait_for("it is " + word)
        terminal.wait_for("end")

    @for_each(way=WAYS, share=("off", "on"))
    def test_stop_and_continue(self, way, share):
        """^Z stops what a splice runs; fg continues it."""
        self.workspace.env["ISERV_SHARE"] = share
        self.subject('forM_ [1 :: Int ..] (\\n -> appendFile "ticks" "." >> threadDelay 20000)')
        ticks = self.workspace.cwd / "ticks"
        terminal = self.open("bash", "--norc", "-i")
        terminal.type("PS1='ready> '\n")
        terminal.wait_for("ready> ", 10)
        terminal.type(" ".join(map(str, self.command(way))) + "\n")
        self.wait_for_ticks(ticks, 0)
        terminal.type("\x1a")
        terminal.wait_for("Stopped")
        time.sleep(0.3)
        stopped = ticks.stat().st_size
        time.sleep(0.5)
        self.assertEqual(ticks.stat().st_size, stopped, "it goes on while it is stopped")
        terminal.type("fg\n")
        self.wait_for_ticks(ticks, stopped)
        terminal.press_control_c()
        terminal.wait_for("ready> ")

    @for_each(way=WAYS, share=("off", "on"))
    def test_hangup(self, way, share):
        """A terminal that goes away ends what runs there, and the broker of that terminal."""
        self.workspace.env["ISERV_SHARE"] = share
        self.subject('forM_ [1 :: Int ..] (\\n -> appendFile "ticks" "." >> threadDelay 20000)')
        ticks = self.workspace.cwd / "ticks"
        terminal = self.open("sh", "-c", '"$@"; exit 1', "sh", *self.command(way))
        self.wait_for_ticks(ticks, 0)
        terminal.close()
        # GHC 9.0.2 itself sometimes does not end by a hang-up, but collects garbage for ever.
        deadline = time.monotonic() + 10
        while (left := [words for words in self.workspace.processes().values() if " -pgmi " not in words]):
            self.assertLess(time.monotonic(), deadline, left)
            time.sleep(0.05)
        for pid in self.workspace.processes():
            send_signal(pid, signal.SIGKILL)

    def wait_for_ticks(self, ticks, known):
        deadline = time.monotonic() + 30
        while not ticks.exists() or ticks.stat().st_size <= known:
            self.assertLess(time.monotonic(), deadline, self.terminal.text)
            time.sleep(0.02)


if __name__ == "__main__":
    unittest.main()
