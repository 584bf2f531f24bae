"""GHCi in shared mode: sessions go as they do with an interpreter of their own."""

import shutil
import unittest

import scenarios
from support import GHC, OURS, WAYS, expand, external, for_each
from terminal import Terminal
from test_sharing import SharingTest

GHCI = (GHC, "--interactive", "-v0", "-ignore-dot-ghci")

PLAYED = ("statements", "reload", "breakpoints", "stdin", "foreign_calls")

PROMPT = "ready> "


def chosen_sessions():
    return [session for session in scenarios.sessions(WAYS) if session.scenario.name in PLAYED]


@expand
class Scripts(SharingTest):
    """A few of the scripts of `ghci/`, in direct mode and then shared, three times."""

    @for_each(session=chosen_sessions())
    def test(self, session):
        scenario = session.scenario
        objects = []
        for name in scenario.c_sources:
            shutil.copy(scenarios.DIRECTORY / name, self.workspace.cwd)
            done = self.workspace.run(GHC, "-c", "-fPIC", name)
            self.assertEqual(done.status, 0, done)
            objects.append(name.replace(".c", ".o"))
        directly = self.play(session, objects, "off")
        self.assertIsNone(scenario.missing(directly.stdout, directly.stderr), directly)
        for number in range(3):
            shared = self.play(session, objects, "on")
            self.assertEqual((shared.stdout, shared.stderr, shared.status),
                             (directly.stdout, directly.stderr, directly.status), f"session {number}")
            status = self.wait_until_grown(0)
        self.assertEqual(status.attaches, 3)
        self.assertGreater(status.hits, 0)

    def play(self, session, objects, share):
        self.workspace.env["ISERV_SHARE"] = share
        scenario, way = session.scenario, session.way
        for name in scenario.files:
            shutil.copy(scenarios.DIRECTORY / name, self.workspace.cwd)
        command = (*GHCI, *external(OURS), *way.flags, *scenario.flags, *objects)
        if not scenario.stdin:
            return self.workspace.run(*command, stdin=scenario.typed)
        script = self.workspace.write("typed.ghci", scenario.typed + ":quit\n")
        stdin = (scenarios.DIRECTORY / scenario.stdin).read_text(encoding="utf-8")
        return self.workspace.run(*command, "-ghci-script", script, stdin=stdin)


@expand
class AtTheTerminal(SharingTest):
    """A user types at the prompt of a shared session."""

    def start(self, way):
        """Opens GHCi in a terminal: the first time it is to grow a zygote."""
        self.workspace.write("prompt.ghci", f':set prompt "{PROMPT}"\nimport Control.Concurrent\n')
        terminal = Terminal(self.workspace, *GHCI, "-ghci-script", "prompt.ghci", *external(OURS),
                            *way.flags)
        self.addCleanup(terminal.close)
        terminal.wait_for(PROMPT)
        return terminal

    @for_each(way=WAYS)
    def test_interrupts(self, way):
        """^C ends a statement, and no other session."""
        first, second = self.start(way), self.start(way)
        # Each terminal has a broker of its own.
        self.assertEqual([len(status.sessions) for status in self.statuses()], [1, 1])
        for statement in ("print (length [1 :: Integer ..])", "threadDelay 1000000000",
                          "getLine >>= putStrLn"):
            first.type(f'putStrLn "begun" >> ({statement})\n')
            # The first time it is what was typed that appears.
            first.wait_for("begun")
            first.wait_for("begun\n")
            first.press_control_c()
            first.wait_for(PROMPT, seconds=5)
            first.wait_until_quiet()
        for terminal in (first, second):
            terminal.type("6 * 7\n")
            terminal.wait_for("42\n")
            terminal.wait_for(PROMPT)
        for terminal in (first, second):
            terminal.press_control_d()
            self.assertEqual(terminal.wait_for_end(), 0)
        self.wait_for_no_session()

    @for_each(way=WAYS)
    def test_conversation(self, way):
        terminal = self.start(way)
        terminal.type('putStr "name? " >> getLine >>= putStrLn . ("hello, " ++)\n')
        terminal.wait_for("\n")
        terminal.wait_for("name? ")
        terminal.type("Größe\n")
        terminal.wait_for("hello, Größe\n")
        terminal.wait_for(PROMPT)
        terminal.press_control_d()
        self.assertEqual(terminal.wait_for_end(), 0)


if __name__ == "__main__":
    unittest.main()
