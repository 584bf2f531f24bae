"""No packet of a client's ends the broker, or makes it larger and larger (tests/fuzz/packet_storm.cc).

SPLICEHOST_STORM_PACKETS says how many changed packets are sent; a million takes some minutes.
"""

import os
import pathlib
import unittest

from support import OURS, WAYS, ghc_version
from test_sharing import OLD, SharingTest

WAY = WAYS[0]
"""What is tested here does not depend on the way."""

PACKETS = os.environ.get("SPLICEHOST_STORM_PACKETS", "5000")
PATIENCE = 60 + int(PACKETS) / 500
"""Seconds."""


class Packets(SharingTest):
    def test_storm(self):
        package = self.make_package(WAY)
        self.warm(package, WAY)
        before = self.status()
        directory = pathlib.Path(OURS).parent
        storm = directory.parent / "tests" / "fuzz" / "packet_storm"
        sockets = [path for path in (self.workspace.runtime / "splicehost").iterdir() if path.is_socket()]
        self.assertEqual(len(sockets), 1)
        version = ".".join(map(str, ghc_version()))
        done = self.workspace.run(storm, sockets[0], directory / "interpreter", version, package.code, PACKETS, "1",
                                  timeout=PATIENCE)
        self.assertEqual(done.status, 0, done)
        self.assertEqual(self.status().pid, before.pid)
        self.assert_says(OLD, package, WAY)


if __name__ == "__main__":
    unittest.main()
