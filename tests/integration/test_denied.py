"""Where the system denies what sharing needs, compiles go on without it, and that is said once."""

import unittest

import denied
from support import GHC, OURS, WAYS, expand, external, for_each
from test_sharing import SharingTest

SUBJECT = """
{-# LANGUAGE TemplateHaskell #-}
module Subject where
n :: Int
n = $([| 42 |])
"""

COMPILES = 3

# What is denied, and what is said.
DENIED = {"socket": "this process may have no sockets: Operation not permitted",
          "bind": ".socket: Operation not permitted",
          "memfd_create": "memfd_create: Operation not permitted"}


@expand
class Denied(SharingTest):
    @for_each(call=tuple(DENIED), way=WAYS[:1])
    def test_is_said_once(self, call, way):
        said = self.said((call,), way)
        self.assertRegex(said[0], r"\Aiservd?: .*\n\Z")
        self.assertIn(DENIED[call], said[0])
        self.assertEqual(said[1:], [""] * (COMPILES - 1))

    @for_each(way=WAYS)
    def test_signals_that_cannot_be_read(self, way):
        self.assertEqual(self.said(("signalfd4",), way), [""] * COMPILES)

    def said(self, calls, way):
        """What compiles say, one after the other, to which these system calls are denied."""
        self.workspace.write("Subject.hs", SUBJECT)
        words = (GHC, *external(OURS), *way.flags, "-v0", "-c", "-fforce-recomp", "Subject.hs")
        script = "for i in $(seq $0); do \"$@\" 2> said$i || echo failed >> said$i; done"
        done = self.workspace.run(*denied.command(calls, "sh", "-c", script, str(COMPILES), *words))
        self.assertEqual((done.status, done.stderr), (0, ""), done)
        return [(self.workspace.cwd / f"said{i + 1}").read_text() for i in range(COMPILES)]


if __name__ == "__main__":
    unittest.main()
