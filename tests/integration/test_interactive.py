"""GHCi at a terminal: ^C ends the statement and nothing else; input and output are immediate."""

import time
import unittest

from support import GHC, OURS, WAYS, IntegrationTest, expand, external, for_each
from terminal import Terminal

PROMPT = "ready> "

SPINNING = """
{-# LANGUAGE TemplateHaskell #-}
module Spinning where
import Language.Haskell.TH
import System.IO
value :: Int
value = $(do
  runIO (hPutStrLn stderr "spinning now")
  litE (integerL (sum [1 ..])))
"""


@expand
class AtTheTerminal(IntegrationTest):
    """A user types at GHCi's prompt."""

    def start(self, way, *flags):
        """Opens GHCi in a terminal and waits for its prompt."""
        self.workspace.write("prompt.ghci", f':set prompt "{PROMPT}"\nimport Control.Concurrent\n'
                             "import Control.Exception\nimport Control.Monad\nimport System.IO\n")
        terminal = Terminal(self.workspace, GHC, "--interactive", "-v0", "-ignore-dot-ghci",
                            "-ghci-script", "prompt.ghci", *external(OURS), *way.flags, *flags)
        self.addCleanup(terminal.close)
        terminal.wait_for(PROMPT)
        return terminal

    def enter(self, terminal, statement):
        terminal.type(statement + "\n")
        terminal.wait_for("\n")

    def assert_goes_on(self, terminal):
        """GHCi is at its prompt, and evaluates.

        GHC gets each ^C as well and drops what is being typed when it notices: hence the pause.
        """
        time.sleep(0.3)
        self.enter(terminal, "6 * 7")
        terminal.wait_for("42\n")
        terminal.wait_for(PROMPT)

    def interrupt(self, terminal, statement):
        """Runs a statement that does not end, presses ^C and waits for the prompt.

        GHC's word "Interrupted." is not waited for: GHC loses it if its own ^C comes late.
        """
        self.enter(terminal, f'putStrLn "started" >> ({statement})')
        terminal.wait_for("started\n")
        time.sleep(0.3)
        terminal.press_control_c()
        terminal.wait_for(PROMPT, seconds=5)
        terminal.wait_until_quiet()
        self.assert_goes_on(terminal)
        self.assertNotIn("*** Exception", terminal.text)

    @for_each(way=WAYS)
    def test_interrupt_loop(self, way):
        """^C of a computation without end, several times over."""
        terminal = self.start(way)
        for statement in ("print (length [1 ..])", "let walk n = walk (n + 1) in walk 0"):
            self.interrupt(terminal, statement)

    @for_each(way=WAYS)
    def test_interrupt_waiting(self, way):
        """^C of a statement that waits: for time, for another thread, for the keyboard."""
        terminal = self.start(way)
        for statement in ("threadDelay 1000000000", "newEmptyMVar >>= takeMVar :: IO ()",
                          "getLine >>= putStrLn"):
            self.interrupt(terminal, statement)

    @for_each(way=WAYS)
    def test_interrupt_without_sandbox(self, way):
        """^C with -fno-ghci-sandbox."""
        terminal = self.start(way, "-fno-ghci-sandbox")
        for statement in ("print (length [1 ..])", "threadDelay 1000000000"):
            self.interrupt(terminal, statement)

    @for_each(way=WAYS)
    def test_interrupt_is_an_exception(self, way):
        """A statement sees ^C as the exception UserInterrupt and may handle it."""
        terminal = self.start(way)
        self.enter(terminal, 'putStrLn "started" >> threadDelay 1000000000 `catch` '
                             r'\e -> putStrLn ("handled: " ++ show (e :: AsyncException))')
        terminal.wait_for("started\n")
        time.sleep(0.3)
        terminal.press_control_c()
        terminal.wait_for("handled: user interrupt\n", seconds=5)
        terminal.wait_for(PROMPT)
        terminal.wait_until_quiet()
        self.assert_goes_on(terminal)

    @for_each(way=WAYS)
    def test_interrupt_at_prompt(self, way):
        """^C at the prompt leaves everything as it was, threads in the background too."""
        terminal = self.start(way)
        self.enter(terminal, "box <- newEmptyMVar :: IO (MVar Char)")
        terminal.wait_for(PROMPT)
        self.enter(terminal, "_ <- forkIO (threadDelay 1500000 >> putMVar box 'k')")
        terminal.wait_for(PROMPT)
        for _ in range(3):
            terminal.press_control_c()
            terminal.wait_for(PROMPT)
            terminal.wait_until_quiet()
        self.enter(terminal, "takeMVar box")
        terminal.wait_for("'k'\n")
        terminal.wait_for(PROMPT)
        self.assert_goes_on(terminal)

    @for_each(way=WAYS)
    def test_interrupt_splice(self, way):
        """^C while a module's splice runs without end ends it, and mostly GHCi, which gives up then."""
        terminal = self.start(way)
        self.workspace.write("Spinning.hs", SPINNING)
        self.enter(terminal, ":load Spinning.hs")
        terminal.wait_for("spinning now\n")
        time.sleep(0.3)
        terminal.press_control_c()
        # GHC is interrupted, too, where it waits for the splice; unless the splice's end has come first.
        if terminal.ends_before(PROMPT):
            # Which of these depends on the GHC, and on what it sees first: the process's end, that of its pipe, or the
            # splice's, which GHC 9.10 then takes for an answer to something else.
            self.assertRegex(terminal.text,
                             r"(ghc-iserv|External interpreter) terminated|remoteCall: end of file|panic!.*\s.*\s*getBin")
        else:
            self.assertIn("user interrupt", terminal.text)

    @for_each(way=WAYS)
    def test_conversation(self, way):
        """A statement asks, the user answers, and what is printed appears at once."""
        terminal = self.start(way)
        self.enter(terminal, 'putStr "name? " >> getLine >>= putStrLn . ("hello, " ++)')
        terminal.wait_for("name? ")
        terminal.type("Größe\n")
        terminal.wait_for("hello, Größe\n")
        terminal.wait_for(PROMPT)
        self.enter(terminal, 'putStr "half a line" >> threadDelay 1000000000')
        terminal.wait_for("half a line", seconds=5)
        terminal.press_control_c()
        terminal.wait_for(PROMPT)
        terminal.wait_until_quiet()
        self.enter(terminal, "hIsTerminalDevice stdin")
        terminal.wait_for("True\n")
        terminal.wait_for(PROMPT)

    @for_each(way=WAYS)
    def test_end(self, way):
        """^D at the prompt ends GHCi, and every process with it."""
        terminal = self.start(way)
        self.enter(terminal, "_ <- forkIO (forever (threadDelay 1000))")
        terminal.wait_for(PROMPT)
        terminal.press_control_d()
        self.assertEqual(terminal.wait_for_end(), 0, terminal.text)


if __name__ == "__main__":
    unittest.main()
