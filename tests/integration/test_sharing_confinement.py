"""Clients that are confined more than others, by Landlock, seccomp and control groups, and clients that are not."""

import pathlib
import subprocess
import unittest

import confine
from support import GHC, OURS, WAYS, expand, external, for_each, peer
from test_sharing import ISERVCTL, SharingTest

CONFINE = ("python3", confine.__file__)

TRIES = """
{-# LANGUAGE TemplateHaskell #-}
module Tries where
import Control.Exception
import Language.Haskell.TH
import System.Process
$(runIO (do
    secret <- try (readFile "SECRET") :: IO (Either IOException String)
    acct <- readProcess "python3" ["-c", "import ctypes; libc = ctypes.CDLL(None, use_errno=True); print(libc.acct(b'/nowhere/at/all'), ctypes.get_errno())"] ""
    writeFile "found" (show secret ++ "\\n" ++ acct)) >> pure [])
"""


class ConfinementTest(SharingTest):
    def prepare(self, kind):
        """A splice that tries what is forbidden, and how to start a command that is confined."""
        if why := confine.obstacle(kind):
            self.skipTest(why)
        secret = self.workspace.root / "kept" / "secret"
        secret.mkdir(parents=True)
        (secret / "file").write_text("told")
        self.workspace.write("Tries.hs", TRIES.replace("SECRET", str(secret / "file")))
        self.confined = (*CONFINE, kind, *([secret] if kind == "landlock" else []))

    def tries(self, way, iserv=OURS, within=()):
        done = self.workspace.run(*within, GHC, *external(iserv), "-v0", "-fforce-recomp", "-c", *way.flags, "Tries.hs")
        self.assertEqual((done.status, done.stdout, done.stderr), (0, "", ""), done)
        return (self.workspace.cwd / "found").read_text()


@expand
class OwnRules(ConfinementTest):
    """What nobody can compare is not shared, and needs no warning."""

    @for_each(way=WAYS)
    @for_each(kind=("landlock", "seccomp"))
    def test_with_broker_outside(self, kind, way):
        self.prepare(kind)
        free = self.tries(way)
        self.assertEqual(self.tries(way), free)
        before = self.wait_until_grown(0)
        expected = self.tries(way, peer(), self.confined)
        self.assertNotEqual(expected, free, "it is not confined")
        for _ in range(2):
            self.assertEqual(self.tries(way, within=self.confined), expected)
        after = self.status()
        self.assertEqual((after.pid, after.attaches), (before.pid, before.attaches), "the broker outside served it")
        self.assertEqual(self.tries(way), free)
        self.assertEqual(self.status().attaches, before.attaches + 1)

    @for_each(way=WAYS[:1])
    @for_each(kind=("landlock", "seccomp"))
    def test_with_broker_inside(self, kind, way):
        """A broker that a confined client has started serves none that is not."""
        self.prepare(kind)
        expected = self.tries(way, peer())
        inside = self.tries(way, within=self.confined)
        self.assertNotEqual(inside, expected)
        confined = set(self.brokers())
        for _ in range(3):
            self.assertEqual(self.tries(way), expected)
        self.wait_for(lambda: self.status() and self.status().pid not in confined, "a broker outside")
        self.tries(way)
        self.assertGreater(self.status().attaches, 0)
        self.wait_for(lambda: len(self.brokers()) == 1, "the broker inside has ended")


class Same(ConfinementTest):
    def test_filter_of_all(self):
        """In a container all processes have one filter, and share."""
        self.prepare("seccomp")
        way = WAYS[0]
        container = ("unshare", "--pid", "--fork", "--mount-proc")
        probe = self.workspace.run(*container, "true")
        if probe.status:
            self.skipTest(probe.stderr.strip())
        command = (GHC, *external(OURS), "-v0", "-fforce-recomp", "-c", *way.flags, "Tries.hs")
        script = f'"$@" && cat found && "$@" && cat found && {ISERVCTL} status --json | grep -c \'"attaches": *2\''
        done = self.workspace.run(*container, *self.confined, "sh", "-c", script, "sh", *command)
        self.assertEqual((done.status, done.stderr), (0, ""), done)
        self.assertEqual(done.stdout.splitlines()[1::2][:2], ["-1 122"] * 2, done)


class LessConfined(ConfinementTest):
    def test_keyring(self):
        """Whoever has keys of his own has a broker that has them."""
        self.prepare("keyring")
        way = WAYS[0]
        probe = self.workspace.run(*self.confined, "true")
        if probe.status:
            self.skipTest(f"no keyrings: {probe.stderr.splitlines()[-1]}")
        self.tries(way)
        before = self.status()
        command = (GHC, *external(OURS), "-v0", "-fforce-recomp", "-c", *way.flags, "Tries.hs")
        done = self.workspace.run(*self.confined, "sh", "-c", '"$@" && "$@"', "sh", *command)
        self.assertEqual((done.status, done.stderr), (0, ""), done)
        self.assertEqual(self.status().attaches, before.attaches)

    def test_niceness(self):
        """A nice broker ends when one comes who is less nice, which has a session as nice as itself."""
        self.prepare("seccomp")
        way = WAYS[0]
        self.tries(way, within=("nice", "-n", "5"))
        old, = self.brokers()
        for _ in range(2):
            self.tries(way)
        new = self.wait_for(lambda: [pid for pid in self.brokers() if pid != old], "another broker")
        self.assertEqual([niceness(pid) for pid in new], [niceness("self")])
        self.wait_for(lambda: old not in self.brokers(), "the nice broker has ended")


def niceness(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


WAITS = """
{-# LANGUAGE TemplateHaskell #-}
module Waits where
import Control.Concurrent
import Language.Haskell.TH
import System.Directory
$(runIO (do
    writeFile "NAME-waiting" ""
    let wait = doesFileExist "NAME-go" >>= \\go -> if go then putStrLn "gone on" else threadDelay 10000 >> wait
    wait) >> pure [])
"""

ALLOCATES = """
{-# LANGUAGE TemplateHaskell #-}
module Allocates where
import Foreign.Marshal
import Foreign.Ptr
import Language.Haskell.TH
$(runIO (mallocBytes 1000000000 >>= \\p -> fillBytes (p :: Ptr ()) 1 1000000000) >> pure [])
"""

LIMIT = 500_000_000


class ControlGroups(SharingTest):
    def group(self, name, controller=None):
        """A control group below our own: of version 2, or with the given controller of either version."""
        parent = own_group(controller)
        if parent is None:
            self.skipTest(f"no control groups{f' with {controller}' if controller else ' of version 2'} are mounted here")
        directory = parent / f"splicehost-test-{self.workspace.mark}-{name}"
        try:
            directory.mkdir()
        except OSError as error:
            self.skipTest(f"no control group can be made: {error}")
        self.addCleanup(self.remove, directory)
        return directory

    def remove(self, directory):
        self.wait_for(lambda: not (directory / "cgroup.procs").read_text(), "the group is empty")
        directory.rmdir()

    def command(self, group, source, way):
        return (*within(group), GHC, *external(OURS), "-v0", "-fforce-recomp", "-c", *way.flags, source)

    def start_waiting(self, name, group, way):
        source = self.workspace.write(f"{name}.hs", WAITS.replace("NAME", name))
        process = self.workspace.start(*self.command(group, source, way), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.wait_for_file(f"{name}-waiting", process)
        return process

    def assert_goes_on(self, name, process):
        self.workspace.write(f"{name}-go", "")
        stdout, stderr = process.communicate(timeout=20)
        self.assertEqual((stdout, stderr, process.returncode), (b"gone on\n", b"", 0))

    def broker_of(self, group):
        broker, = set(self.brokers()) & set(map(int, (group / "cgroup.procs").read_text().split()))
        return broker

    def stop(self, group):
        self.assertEqual(self.workspace.run(*within(group), ISERVCTL, "stop").status, 0)

    def test_killed(self):
        """The end of one group ends no other's broker or sessions."""
        way = WAYS[0]
        killed, other = self.group("killed"), self.group("other")
        if not (killed / "cgroup.kill").exists():
            self.skipTest("no cgroup.kill (before Linux 5.14)")
        doomed = self.start_waiting("doomed", killed, way)
        spared = self.start_waiting("spared", other, way)
        broker = self.broker_of(other)
        self.assertNotEqual(broker, self.broker_of(killed))
        (killed / "cgroup.kill").write_text("1")
        doomed.communicate(timeout=5)
        self.wait_for(lambda: not (killed / "cgroup.procs").read_text(), "all of the group has ended")
        self.assert_goes_on("spared", spared)
        self.assertEqual(self.broker_of(other), broker)
        self.stop(other)

    def test_out_of_memory(self):
        """A splice that takes more than its group may have is killed alone, and no other group notices."""
        way = WAYS[0]
        limited, other = self.group("limited", "memory"), self.group("unlimited", "memory")
        set_limit(limited)
        spared = self.start_waiting("spared", other, way)
        neighbour = self.start_waiting("neighbour", limited, way)
        broker = self.broker_of(limited)
        source = self.workspace.write("Allocates.hs", ALLOCATES)
        done = self.workspace.run(*self.command(limited, source, way))
        self.assertNotEqual(done.status, 0, done)
        self.assertRegex(done.stderr, "signal 9|Killed|was killed", done)
        self.assertEqual(self.broker_of(limited), broker)
        self.assert_goes_on("neighbour", neighbour)
        self.assert_goes_on("spared", spared)
        self.stop(limited)
        self.stop(other)


def within(group):
    return ("sh", "-c", f'echo $$ > "{group}/cgroup.procs" && exec "$@"', "sh")


def own_group(controller):
    """The directory of the group that this process is in; nothing if there is none, or it has no such controller."""
    paths = {line.split(":")[1]: line.split(":", 2)[2] for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines()}
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ")
        kind, _, options = after.split()[:3]
        root, mounted = before.split()[3:5]
        name = controller if kind == "cgroup" and controller in options.split(",") else "" if kind == "cgroup2" else None
        if name is None or name not in paths:
            continue
        path = paths[name]
        if root != "/" and path.startswith(root):
            path = path[len(root):]
        directory = pathlib.Path(mounted) / path.lstrip("/")
        enabled = directory / "cgroup.subtree_control"
        if directory.is_dir() and (name or not controller or controller in enabled.read_text().split()):
            return directory
    return None


def set_limit(group):
    """Of memory, and no swap space beside it."""
    for name, value in (("memory.max", LIMIT), ("memory.swap.max", 0), ("memory.limit_in_bytes", LIMIT),
                        ("memory.memsw.limit_in_bytes", LIMIT)):
        if (group / name).exists():
            (group / name).write_text(str(value))


if __name__ == "__main__":
    unittest.main()
