"""Whatever happens to the broker, to a zygote or to a session: every compile ends well.

SPLICEHOST_SHARING_KILLS says how many builds are disturbed by a kill (default 6), and
SPLICEHOST_SHARING_MODULES how many modules each has (default 8; with 30 kills or more: 60).
"""

import concurrent.futures
import contextlib
import fcntl
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time
import unittest

from support import GHC, OURS, WAYS, expand, external, for_each, send_signal
from test_sharing import ISERVCTL, NOBODY, OLD, SharingTest

KILLS = int(os.environ.get("SPLICEHOST_SHARING_KILLS", "6"))
MODULES = int(os.environ.get("SPLICEHOST_SHARING_MODULES", "60" if KILLS >= 30 else "8"))

VICTIMS = ("broker", "zygote", "session")

# Splices that depend on each other and take some time, so that a kill meets one.
MODULE = """
{-# LANGUAGE TemplateHaskell #-}
module M{number} where
import Control.Concurrent
import Language.Haskell.TH
import Language.Haskell.TH.Syntax
import Subject
$(putQ ({number} :: Int) >> pure [])
value{number} :: (Int, Int)
value{number} = $(do
  Just n <- getQ
  calls <- runIO (threadDelay 30000 >> bump)
  lift (n * length [1 .. 20000 :: Int] + haskellValue, calls))
$(do
  Just n <- getQ
  runIO (threadDelay 20000)
  names <- mapM (\\i -> newName ("helper" ++ show i)) [1 .. n :: Int]
  concat <$> mapM (\\name -> sequence
    [sigD name [t|Int -> Int|], funD name [clause [] (normalB [|(+ n)|]) []]]) names)
"""


class Build:
    """A build of many modules, two compilers at a time, as make would do it."""

    def __init__(self, test, way, package):
        self.test, self.way, self.package = test, way, package
        self.directory = test.workspace.cwd
        self.sources = [test.workspace.write(f"M{n}.hs", MODULE.replace("{number}", str(n)))
                        for n in range(1, MODULES + 1)]
        self.done, self.is_over = 0, False

    def run(self):
        """Builds all; returns {name: bytes} of what was made. A compile that fails is an error."""
        for name in self.products():
            (self.directory / name).unlink()
        self.done, self.is_over = 0, False
        try:
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                for finished in pool.map(self.compile, self.sources):
                    if finished.status != 0:
                        self.test.fail(f"{finished}\n-- the broker:\n{self.test.broker_log()}")
                    self.test.assertEqual(finished.stdout, "", finished)
        finally:
            self.is_over = True
        return self.products()

    def compile(self, source):
        try:
            return self.test.compile(self.way, *self.package.flags, source, status=None, timeout=60)
        finally:
            self.done += 1

    def products(self):
        return {path.name: path.read_bytes() for path in self.directory.iterdir()
                if path.suffix[1:].endswith(("o", "hi"))}


class FaultTest(SharingTest):
    def setUp(self):
        super().setUp()
        self.clients = set()

    def prepare(self, way):
        """A build, and what comes of it if nobody disturbs it."""
        package = self.make_package(way, name=f"package-{way.name}")
        self.warm(package, way)
        build = Build(self, way, package)
        started = time.monotonic()
        undisturbed = build.run()
        self.seconds = time.monotonic() - started
        self.assertEqual(len(undisturbed), 2 * MODULES)
        return build, undisturbed

    def disturb(self, build, undisturbed, what):
        """Builds while `what` is going on in a thread; the products must be the same."""
        build.done, build.is_over = 0, False
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            going_on = pool.submit(what)
            products = build.run()
            result = going_on.result(60)
        different = [name for name in undisturbed if products.get(name) != undisturbed[name]]
        self.assertFalse(different, f"made otherwise while disturbed by {what}")
        return result

    def broker_log(self):
        return "".join(log.read_text() for log in self.workspace.runtime.glob("splicehost/*.log"))

    def victims(self, kind):
        """Process ids of the broker, of zygotes or of sessions."""
        if kind == "broker":
            return self.brokers()
        status = self.try_status()
        if not status:
            return []
        if kind == "zygote":
            # One that is about to grow has no process yet.
            return [zygote.pid for zygote in status.zygotes if zygote.pid]
        # Each compile's only once: an interpreter that is killed twice is taken to be meant.
        sessions = [session for session in status.sessions if session.client not in self.clients]
        self.clients |= {session.client for session in sessions[:1]}
        return [session.pid for session in sessions[:1]]

    def try_status(self):
        """The status, while the broker may die at any time."""
        try:
            return self.status()
        except (AssertionError, ValueError):
            return None


@expand
class Kills(FaultTest):
    @for_each(victim=VICTIMS)
    def test_kill(self, victim):
        """kill -9 at a random moment of a build; the ways take turns."""
        moments = random.Random(victim)
        wanted = -(-KILLS // len(VICTIMS))
        for number, way in enumerate(WAYS):
            share = len(range(number, wanted, len(WAYS)))
            if share:
                with self.subTest(way.name):
                    self.kill_in_builds(victim, way, share, moments)

    def kill_in_builds(self, victim, way, wanted, moments):
        build, undisturbed = self.prepare(way)
        for _ in range(10 * wanted):
            delay = moments.uniform(0, self.seconds)
            wanted -= self.disturb(build, undisturbed, lambda: self.kill_after(delay, build, victim))
            if not wanted:
                return
        self.fail(f"builds were mostly over before a {victim} could be killed")

    def kill_after(self, delay, build, victim):
        """Kills one as soon as there is one after the delay; False if the build was over before."""
        time.sleep(delay)
        while not build.is_over:
            pids = self.victims(victim)
            if pids and send_signal(random.choice(pids), signal.SIGKILL):
                return True
            time.sleep(0.002)
        return False

    @for_each(way=WAYS)
    def test_many_kills(self, way):
        """A broker or a zygote is killed ten times a second, all through a build."""
        build, undisturbed = self.prepare(way)
        killed = self.disturb(build, undisturbed, lambda: self.kill_again_and_again(build, VICTIMS[:2]))
        self.assertGreater(killed, 5)

    @for_each(way=WAYS)
    def test_every_session_is_killed(self, way):
        """What is lost with a session is done again by another fork of its zygote, if that still lives."""
        build, undisturbed = self.prepare(way)
        killed = self.disturb(build, undisturbed, lambda: self.kill_again_and_again(build, VICTIMS[2:]))
        self.assertGreater(killed, 3)

    def kill_again_and_again(self, build, victims):
        choices = random.Random(1)
        killed = 0
        while not build.is_over:
            killed += self.kill_after(choices.uniform(0, 0.2), build, choices.choice(victims))
        return killed

    @for_each(way=WAYS)
    def test_all_is_as_before(self, way):
        """After a broker's violent end the next compile starts another, and sharing goes on."""
        package = self.make_package(way)
        self.warm(package, way)
        first = self.status()
        os.kill(first.pid, signal.SIGKILL)
        zygotes = [zygote.pid for zygote in first.zygotes]
        self.wait_for(lambda: not set(zygotes) & set(self.living()), "zygotes end with their broker", 2)
        self.warm(package, way)
        self.assertNotEqual(self.status().pid, first.pid)


@expand
class Stopped(FaultTest):
    """A broker or a zygote that does nothing any more does not hold up a compile."""

    @for_each(victim=("broker", "zygote"))
    @for_each(way=WAYS)
    def test_before_a_compile(self, victim, way):
        package = self.make_package(way)
        self.warm(package, way)
        pids = self.victims(victim)
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        self.assert_takes_seconds(package, way, pids)
        self.assert_says(OLD, package, way, "when it goes on")

    @for_each(way=WAYS)
    def test_spares_before_a_compile(self, way):
        """Those that wait to become sessions; the one that is taken never greets, and nothing of it stays."""
        package = self.make_package(way)
        self.warm(package, way)
        time.sleep(1)
        zygotes = {zygote.pid for zygote in self.status().zygotes}
        spares = [pid for pid, process in self.living().items() if process.parent in zygotes and pid not in zygotes]
        self.assertTrue(spares, self.status())
        for pid in spares:
            os.kill(pid, signal.SIGSTOP)
        self.assert_takes_seconds(package, way, [])
        self.go_on(spares)
        self.assert_says(OLD, package, way, "when they go on")

    def assert_takes_seconds(self, package, way, pids):
        # As the programs themselves: protocol/patience.h.
        limit = 10 * max(1, os.getloadavg()[0] / len(os.sched_getaffinity(0)) / 4)
        started = time.monotonic()
        done = self.compile(way, *package.flags, "Uses.hs", timeout=3 * limit)
        seconds = time.monotonic() - started
        self.go_on(pids)
        self.assertEqual(done.stdout, f"({OLD},{OLD},{OLD})\n")
        self.assertLess(seconds, limit, done)

    @for_each(way=WAYS)
    def test_broker_during_a_build(self, way):
        self.stop_during_a_build("broker", way)

    def test_zygotes_during_a_build(self):
        """In one way only: some seconds pass before a zygote is given up."""
        self.stop_during_a_build("zygote", WAYS[0])

    def stop_during_a_build(self, victim, way):
        build, undisturbed = self.prepare(way)
        stopped = self.disturb(build, undisturbed, lambda: self.stop_in_the_middle(build, victim))
        self.go_on(stopped)
        self.assertTrue(stopped, f"there was no {victim}")

    def stop_in_the_middle(self, build, victim):
        self.wait_for(lambda: build.done >= MODULES // 3, "a third is done")
        return [pid for pid in self.victims(victim) if send_signal(pid, signal.SIGSTOP)]

    def go_on(self, pids):
        for pid in set(pids) & set(self.living()):
            send_signal(pid, signal.SIGCONT)

    def _stop_sharing(self):
        self.go_on(pid for pid, process in self.living().items() if process.state == "T")
        super()._stop_sharing()


@contextlib.contextmanager
def open_directory(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


class NoBroker(SharingTest):
    """Where there can be no broker, a compile has an interpreter of its own, and one warning."""

    def assert_direct(self, way, package, prefix=(), warnings=1):
        self.copy_source("Uses.hs")
        done = self.workspace.run(*prefix, GHC, *external(OURS), "-v0", "-fforce-recomp", "-c",
                                  *way.flags, *package.flags, "Uses.hs")
        self.assertEqual((done.status, done.stdout), (0, f"({OLD},{OLD},{OLD})\n"), done)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), warnings, done)
        self.assertFalse(self.brokers(), done)
        return done

    def assert_shared_elsewhere(self, way, package, prefix=()):
        """Where the runtime directory cannot be used, but another one can, nobody has to know."""
        self.copy_source("Uses.hs")
        # That directory is no test's own.
        with open_directory("/tmp") as directory:
            fcntl.flock(directory, fcntl.LOCK_EX)
            self.assert_shared(way, package, prefix)

    def assert_shared(self, way, package, prefix):
        for _ in range(2):
            done = self.workspace.run(*prefix, GHC, *external(OURS), "-v0", "-fforce-recomp", "-c",
                                      *way.flags, *package.flags, "Uses.hs")
            self.assertEqual((done.status, done.stdout, done.stderr), (0, f"({OLD},{OLD},{OLD})\n", ""), done)
            self.assertEqual(len(self.brokers()), 1)
        # iservctl finds it, too, as long as the directory is as it is.
        stopped = self.workspace.run(*prefix, ISERVCTL, "stop")
        self.assertEqual(stopped.status, 0, stopped)
        self.wait_for(lambda: not self.brokers(), "the broker is gone")

    def need_root(self):
        if os.getuid() != 0:
            self.skipTest("only root can do this")

    def drop_privileges(self):
        """Gives everything to another user; returns the beginning of that user's commands."""
        for path in [self.workspace.root, *self.workspace.root.rglob("*")]:
            os.chown(path, NOBODY, NOBODY)
        return ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


@expand
class FullDisk(NoBroker):
    def mount(self, options):
        """A small file system in place of the runtime directory."""
        self.need_root()
        directory = self.workspace.runtime
        done = self.workspace.run("mount", "-t", "tmpfs", "-o", options, "none", directory)
        if done.status:
            self.skipTest(f"mounting is not possible here: {done.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "--lazy", directory], check=True)

    def fill(self):
        """Fills the file system with one file."""
        with self.assertRaises(OSError):
            with open(self.workspace.runtime / "filler", "wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    @for_each(way=WAYS)
    def test_no_file_can_be_made(self, way):
        package = self.make_package(way)
        self.mount("size=64k,nr_inodes=2,mode=700")
        self.fill()
        self.assert_shared_elsewhere(way, package)

    @for_each(way=WAYS)
    def test_no_file_can_be_made_in_the_directory(self, way):
        package = self.make_package(way)
        self.mount("size=64k,nr_inodes=3,mode=700")
        (self.workspace.runtime / "splicehost").mkdir(mode=0o700)
        self.fill()
        self.assert_direct(way, package)

    @for_each(way=WAYS)
    def test_no_byte_can_be_written(self, way):
        """Sockets need none: sharing may work or not, but there is one warning at most."""
        package = self.make_package(way)
        self.mount("size=64k,mode=700")
        self.fill()
        self.copy_source("Uses.hs")
        for _ in range(3):
            done = self.compile(way, *package.flags, "Uses.hs")
            self.assertEqual(done.stdout, f"({OLD},{OLD},{OLD})\n", done)
            self.assertLessEqual(len(done.stderr.splitlines()), 1, done)


@expand
class Unwritable(NoBroker):
    @for_each(way=WAYS)
    def test_directory(self, way):
        """The runtime directory cannot be written to."""
        self.need_root()
        package = self.make_package(way)
        self.copy_source("Uses.hs")
        prefix = self.drop_privileges()
        self.workspace.runtime.chmod(0o500)
        self.assert_shared_elsewhere(way, package, prefix)

    @for_each(way=WAYS)
    def test_our_directory(self, way):
        """The directory in it cannot be written to."""
        self.need_root()
        package = self.make_package(way)
        self.copy_source("Uses.hs")
        (self.workspace.runtime / "splicehost").mkdir(mode=0o500)
        self.assert_shared_elsewhere(way, package, self.drop_privileges())

    @for_each(way=WAYS)
    def test_file_in_the_way(self, way):
        package = self.make_package(way)
        (self.workspace.runtime / "splicehost").write_text("a file\n")
        self.assert_direct(way, package)

    @for_each(way=WAYS)
    def test_no_broker_program(self, way):
        """The broker's program is missing. Whether that needs a warning is not for a user to care."""
        package = self.make_package(way)
        build = pathlib.Path(OURS).parent
        copy = self.workspace.root / "copy" / build.name
        copy.mkdir(parents=True)
        for file in build.iterdir():
            # The front end looks beside itself, wherever links to it are.
            if file.name.startswith("iserv"):
                shutil.copy(file, copy)
            elif file.is_file():
                (copy / file.name).symlink_to(file)
        self.copy_source("Uses.hs")
        done = self.workspace.ghc(copy / "iserv", "-v0", "-c", *way.flags, *package.flags, "Uses.hs")
        self.assertEqual((done.status, done.stdout), (0, f"({OLD},{OLD},{OLD})\n"), done)
        self.assertLessEqual(len(done.stderr.splitlines()), 1, done)


if __name__ == "__main__":
    unittest.main()
