"""A session that loads many packages and runs code of each, as it does with GHC's own interpreter."""

import pathlib
import sys
import unittest

from support import GHC, OURS, WAYS, IntegrationTest, expand, external, for_each, peer

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "bench"))

from splicebench.ghc import Ghc  # noqa: E402 (found in the directory above)
from splicebench.packages import find_probes, installed_packages, module_text  # noqa: E402

PACKAGES = 30
"""What ./setup tests installs is enough for more; the benchmark has hundreds."""


@expand
class ManyPackages(IntegrationTest):
    @classmethod
    def setUpClass(cls):
        ghc = Ghc(GHC)
        cls.probes = find_probes(ghc, installed_packages(ghc), PACKAGES)

    @for_each(way=WAYS)
    def test_code_of_each_runs(self, way):
        self.assertEqual(len(self.probes), PACKAGES)
        self.workspace.write("Many.hs", module_text("Many", self.probes))
        self.workspace.write("release", "")
        evaluated = []
        for iserv in (peer(), OURS):
            done = self.workspace.run(GHC, *external(iserv), "-v0", "-fforce-recomp", *way.flags, "-c",
                                      "Many.hs", "-package-env=-", "-no-user-package-db")
            self.assertEqual(done.status, 0, done)
            evaluated.append((self.workspace.cwd / "evaluated").read_text())
            (self.workspace.cwd / "evaluated").unlink()
        self.assertEqual(evaluated[0], evaluated[1])
        self.assertEqual(len(evaluated[1].splitlines()), PACKAGES)


if __name__ == "__main__":
    unittest.main()
