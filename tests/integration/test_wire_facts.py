"""What this GHC says on the wire is what the tables were tested against (tests/protocol/ghc_facts_test.cc)."""

import pathlib

from support import GHC, IntegrationTest, ghc_version

PROTOCOL = pathlib.Path(__file__).resolve().parents[1] / "protocol"


class WireFacts(IntegrationTest):

    def test_are_those_that_are_recorded(self):
        for module in (PROTOCOL / "facts").iterdir():
            self.workspace.write(module.name, module.read_text(encoding="utf-8"))
        packages = (word for name in ("ghci", "binary", "bytestring", "template-haskell") for word in ("-package", name))
        done = self.workspace.run(GHC, "-v0", "-package-env", "-", *packages, "-e", "main", "Facts.hs")
        self.assertEqual(done.status, 0, done)
        version = ".".join(str(number) for number in ghc_version())
        recorded = PROTOCOL / "recorded" / version / "facts"
        self.assertEqual(done.stdout.splitlines(), recorded.read_text(encoding="utf-8").splitlines())
