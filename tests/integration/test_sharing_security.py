"""Only the user who started a broker is served, and only in a directory that is the user's alone."""

import json
import os
import pathlib
import random
import shutil
import socket
import struct
import subprocess
import unittest

from support import GHC, OURS, WAYS, expand, external, for_each
from test_sharing import ISERVCTL, NOBODY, OLD, SharingTest
from test_sharing_faults import NoBroker

PROTOCOL = pathlib.Path(__file__).resolve().parents[2] / "protocol" / "broker.capnp"

WAY = WAYS[0]
"""What is tested here does not depend on the way."""


def skip_unless_root(test):
    if os.getuid() != 0:
        test.skipTest("only root can act as another user")


class OtherUsers(SharingTest):
    """Someone else gets as far as the socket."""

    def setUp(self):
        super().setUp()
        skip_unless_root(self)
        self.package = self.make_package(WAY)
        self.warm(self.package, WAY)
        # As if all protection by file modes had failed.
        self.workspace.root.chmod(0o755)
        self.workspace.runtime.chmod(0o755)
        directory = self.workspace.runtime / "splicehost"
        directory.chmod(0o755)
        self.sockets = [path for path in directory.iterdir() if path.is_socket()]
        self.assertEqual(len(self.sockets), 1)
        self.sockets[0].chmod(0o666)
        self.addCleanup(self.workspace.runtime.chmod, 0o700)
        self.addCleanup(directory.chmod, 0o700)

    def message(self, text):
        """A packet for the broker: where the message is (it follows), and the message."""
        if not shutil.which("capnp"):
            self.skipTest("the program capnp is not installed")
        done = subprocess.run(["capnp", "convert", "text:binary", PROTOCOL, "ToBroker"],
                              input=text.encode(), capture_output=True, check=True)
        return struct.pack("<Q", 0) + done.stdout

    def ask(self, packets, user):
        """Sends packets as a user: the lengths of the answers, and the name of an error, if any."""
        answers, child = os.pipe(), os.fork()
        if child == 0:
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                client.settimeout(5)
                said = []
                try:
                    client.connect(str(self.sockets[0]))
                    for packet in packets:
                        client.send(packet)
                    while len(said) < len(packets) and (data := client.recv(1 << 20)):
                        said.append(len(data))
                except OSError as error:
                    said.append(type(error).__name__)
            os.write(answers[1], json.dumps(said).encode())
            os._exit(0)
        os.close(answers[1])
        said = os.read(answers[0], 1 << 16).decode()
        os.close(answers[0])
        os.waitpid(child, 0)
        return json.loads(said)

    def test_no_service(self):
        """A client of ours gets two answers from the broker; the same bytes bring another user none."""
        packets = [self.message("(hello = (protocolVersion = 1, processId = 1))"),
                   self.message("(status = void)")]
        served = self.ask(packets, os.getuid())
        self.assertEqual([type(answer) for answer in served], [int, int], served)
        refused = self.ask(packets, NOBODY)
        self.assertFalse([answer for answer in refused if isinstance(answer, int)], refused)
        self.assertNotIn("TimeoutError", refused, "left waiting")

    def test_cannot_stop(self):
        done = self.workspace.run("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                                  ISERVCTL, "stop")
        self.assertNotEqual(done.status, 0, done)
        packets = [self.message("(hello = (protocolVersion = 1, processId = 1))"),
                   self.message("(stop = void)")]
        self.ask(packets, NOBODY)
        self.workspace.runtime.chmod(0o700)
        (self.workspace.runtime / "splicehost").chmod(0o700)
        before = self.status()
        self.assertIsNotNone(before, "the broker was stopped by another user")
        self.assert_says(OLD, self.package, WAY)
        self.assertEqual(self.status().hits, before.hits + 1)

    def test_flood(self):
        """Another user's many connections do not keep the broker from its work."""
        clients = []
        for _ in range(200):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self.addCleanup(client.close)
            client.settimeout(5)
            clients.append(client)
        child = os.fork()
        if child == 0:
            os.setresuid(NOBODY, NOBODY, NOBODY)
            for client in clients:
                try:
                    client.connect(str(self.sockets[0]))
                except OSError:
                    pass
            os._exit(0)
        os.waitpid(child, 0)
        self.workspace.runtime.chmod(0o700)
        (self.workspace.runtime / "splicehost").chmod(0o700)
        before = self.status()
        self.assert_says(OLD, self.package, WAY)
        self.assertEqual(self.status().hits, before.hits + 1)


@expand
class Directory(NoBroker):
    """A runtime directory that is not safe is not used, and the user is told."""

    def setUp(self):
        super().setUp()
        self.package = self.make_package(WAY)
        self.directory = self.workspace.runtime / "splicehost"

    def assert_refused(self, *words):
        done = self.assert_direct(WAY, self.package)
        for word in words:
            self.assertIn(str(word), done.stderr)

    @for_each(mode=("0770", "0707", "0755", "0711", "0740"))
    def test_open_to_others(self, mode):
        self.directory.mkdir()
        self.directory.chmod(int(mode, 8))
        self.assert_refused(self.directory)
        self.assertEqual(list(self.directory.iterdir()), [])

    @for_each(mode=("0770", "0702", "01777"))
    def test_parent_open_to_others(self, mode):
        """Who can write to $XDG_RUNTIME_DIR can put another directory there."""
        self.workspace.runtime.chmod(int(mode, 8))
        self.assert_refused(self.workspace.runtime)
        self.workspace.runtime.chmod(0o700)

    def test_somebody_elses(self):
        skip_unless_root(self)
        self.directory.mkdir(mode=0o700)
        os.chown(self.directory, NOBODY, NOBODY)
        self.assert_refused(self.directory)
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_somebody_elses_parent(self):
        skip_unless_root(self)
        os.chown(self.workspace.runtime, NOBODY, NOBODY)
        self.assert_refused(self.workspace.runtime)
        os.chown(self.workspace.runtime, 0, 0)

    def test_symbolic_link(self):
        elsewhere = self.workspace._directory("elsewhere")
        self.directory.symlink_to(elsewhere)
        self.assert_refused(self.directory)
        self.assertEqual(list(elsewhere.iterdir()), [])

    def test_becomes_unsafe(self):
        """Also when there is a broker already."""
        self.warm(self.package, WAY)
        before = self.status()
        self.directory.chmod(0o770)
        done = self.compile(WAY, *self.package.flags, "Uses.hs")
        self.directory.chmod(0o700)
        self.assertEqual(done.stdout, f"({OLD},{OLD},{OLD})\n", done)
        self.assertEqual(len(done.stderr.splitlines()), 1, done)
        self.assertEqual(self.status().attaches, before.attaches)


class Fallback(SharingTest):
    """Without $XDG_RUNTIME_DIR the directory is /tmp/splicehost-<user id>, which others may have made."""

    def setUp(self):
        super().setUp()
        skip_unless_root(self)
        # A user that nobody else is.
        self.user = random.randrange(100000, 1000000000)
        self.directory = pathlib.Path(f"/tmp/splicehost-{self.user}")
        del self.workspace.env["XDG_RUNTIME_DIR"]
        self.package = self.make_package(WAY)
        self.copy_source("Uses.hs")
        for path in [self.workspace.root, *self.workspace.root.rglob("*")]:
            os.chown(path, self.user, self.user)
        self.command = ("setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups")
        self.addCleanup(self.remove)

    def remove(self):
        self.workspace.run(*self.command, ISERVCTL, "stop")
        if self.directory.is_symlink():
            self.directory.unlink()
        shutil.rmtree(self.directory, ignore_errors=True)

    def compile_as_user(self, warnings):
        done = self.workspace.run(*self.command, GHC, *external(OURS), "-v0", "-fforce-recomp", "-c",
                                  *WAY.flags, *self.package.flags, "Uses.hs")
        self.assertEqual((done.status, done.stdout), (0, f"({OLD},{OLD},{OLD})\n"), done)
        self.assertEqual(len(done.stderr.splitlines()), warnings, done)

    def test_is_made(self):
        """It is for nobody else, and one broker serves from it."""
        for _ in range(2):
            self.compile_as_user(warnings=0)
        self.assertEqual(self.directory.stat().st_mode & 0o7777, 0o700)
        self.assertEqual(self.directory.stat().st_uid, self.user)
        self.assertEqual(len(self.brokers()), 1)

    def test_directory_that_is_not_there(self):
        """The same if the variable names a directory that does not exist."""
        self.workspace.env["XDG_RUNTIME_DIR"] = "/nonexistent"
        self.compile_as_user(warnings=0)
        self.assertEqual(len(self.brokers()), 1)

    def test_made_by_somebody_else(self):
        self.directory.mkdir(mode=0o777)
        self.directory.chmod(0o777)
        self.compile_as_user(warnings=1)
        self.assertEqual((self.brokers(), list(self.directory.iterdir())), ([], []))

    def test_link_by_somebody_else(self):
        """A link to a directory of the user's own."""
        self.directory.symlink_to(self.workspace.runtime)
        self.compile_as_user(warnings=1)
        self.assertEqual((self.brokers(), list(self.workspace.runtime.iterdir())), ([], []))


if __name__ == "__main__":
    unittest.main()
