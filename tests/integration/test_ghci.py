"""Scripted GHCi sessions go as they do with GHC's own interpreter, and as the scripts expect."""

import shutil
import unittest

import scenarios
from support import GHC, OURS, WAYS, IntegrationTest, expand, external, for_each, peer

GHCI = (GHC, "--interactive", "-v0", "-ignore-dot-ghci")


@expand
class ScriptedSessions(IntegrationTest):
    """Each script of `ghci/`, typed into a GHCi with GHC's interpreter and into one with ours."""

    @for_each(session=scenarios.sessions(WAYS))
    def test(self, session):
        ours = self.play(session, OURS)
        self.assertIsNone(session.scenario.missing(ours.stdout, ours.stderr), ours)
        if not session.scenario.peer_fails:
            self.new_workspace()
            theirs = self.play(session, peer())
            self.assertEqual(theirs.stdout, ours.stdout)
            self.assertEqual(theirs.stderr, ours.stderr)
            self.assertEqual(theirs.status, ours.status)

    def play(self, session, iserv):
        """Runs a session in the (empty) workspace."""
        scenario, way = session.scenario, session.way
        for name in (*scenario.files, *scenario.c_sources):
            shutil.copy(scenarios.DIRECTORY / name, self.workspace.cwd)
        command = (*GHCI, *external(iserv), *way.flags, *scenario.flags,
                   *self.compile_c(scenario.c_sources))
        if not scenario.stdin:
            return self.workspace.run(*command, stdin=scenario.typed)
        script = self.workspace.write("typed.ghci", scenario.typed + ":quit\n")
        stdin = (scenarios.DIRECTORY / scenario.stdin).read_text(encoding="utf-8")
        return self.workspace.run(*command, "-ghci-script", script, stdin=stdin)

    def compile_c(self, sources):
        for source in sources:
            done = self.workspace.run(GHC, "-c", "-fPIC", source)
            self.assertEqual(done.status, 0, done)
        return [source.replace(".c", ".o") for source in sources]


if __name__ == "__main__":
    unittest.main()
