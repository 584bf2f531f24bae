"""Which broker a compile gets: one for all, another after an upgrade, none of another namespace."""

import os
import pathlib
import shutil
import subprocess
import unittest

import wire
from support import GHC, OURS, WAYS, expand, external, for_each
from test_sharing import ISERVCTL, NEW, OLD, SharingTest
from test_sharing_soak import Client

BUILD = pathlib.Path(OURS).parent.parent
NAME = pathlib.Path(OURS).parent.name


@expand
class FirstStarts(SharingTest):
    """Many compiles start at the same time, and there is no broker yet."""

    @for_each(way=WAYS)
    def test_compiles(self, way):
        package = self.make_package(way)
        self.copy_source("Uses.hs")
        running = [self.start_compile(way, *package.flags, "Uses.hs", "-o", f"{n}.o", "-ohi", f"{n}.hi",
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE) for n in range(8)]
        for process in running:
            stdout, stderr = process.communicate(timeout=60)
            self.assertEqual((stdout.decode(), stderr.decode(), process.returncode),
                             (f"({OLD},{OLD},{OLD})\n", "", 0))
        self.assertEqual(len(self.brokers()), 1)
        self.assertEqual(self.status().attaches, 8)

    def test_front_ends(self):
        """Front ends alone come even closer together."""
        for _ in range(5):
            clients = [Client(self.workspace, WAYS[0]) for _ in range(16)]
            for client in clients:
                client.send(wire.INIT_LINKER + wire.START_TH)
            for client in clients:
                self.assertEqual(len(client.read(8)), 8)
            self.assertEqual(self.status().attaches, 16)
            self.assertEqual(len(self.brokers()), 1)
            self.assertEqual([client.end("shutdown") for client in clients], [""] * 16)
            self.assertEqual(self.workspace.run(ISERVCTL, "stop").status, 0)
            self.assertFalse(self.wait_until_all_ended(2))


@expand
class Upgrade(SharingTest):
    """The files of an installation are replaced while its broker runs."""

    def setUp(self):
        super().setUp()
        self.installation = self.workspace.root / "installed"
        (self.installation / NAME).mkdir(parents=True)
        (self.installation / "iserv").mkdir()
        for file in (BUILD / NAME).iterdir():
            if file.is_file():
                shutil.copy2(file, self.installation / NAME)
        shutil.copy2(BUILD / "iserv" / "iservd", self.installation / "iserv")
        shutil.copy2(BUILD / "iservctl", self.installation)
        self.iserv = self.installation / NAME / "iserv"

    def status(self):
        """Of the installation's broker, as long as both are of one build."""
        return super().status(self.installation / "iservctl")

    def _stop_sharing(self):
        if self.installation.exists():
            self.workspace.run(self.installation / "iservctl", "stop")
        super()._stop_sharing()

    def compile_installed(self, way, package):
        done = self.workspace.ghc(self.iserv, "-v0", "-fforce-recomp", "-c", *way.flags, *package.flags,
                                  "Uses.hs")
        self.assertEqual((done.status, done.stdout, done.stderr), (0, f"({OLD},{OLD},{OLD})\n", ""))

    @staticmethod
    def upgrade(file):
        """As package managers do it: the new file takes the old one's name."""
        shutil.copy(file, file.with_name("new"))
        os.replace(file.with_name("new"), file)

    def test_idle(self):
        """The old broker is gone in two seconds, and the next compile has a new one."""
        way = WAYS[0]
        package = self.make_package(way)
        self.copy_source("Uses.hs")
        for _ in range(2):
            self.compile_installed(way, package)
            self.wait_until_grown()
        self.upgrade(self.installation / "iserv" / "iservd")
        self.assertFalse(self.wait_until_all_ended(2), "two seconds after the upgrade")
        for count in (1, 2):
            self.compile_installed(way, package)
            self.assertEqual(self.wait_until_grown().attaches, count)
        self.assertEqual(len(self.brokers()), 1)

    @for_each(way=WAYS)
    def test_sessions_finish(self, way):
        """A GHCi goes on as if nothing had happened, next to compiles with the new broker."""
        package = self.make_package(way)
        self.copy_source("Uses.hs")
        self.compile_installed(way, package)
        old = self.wait_until_grown()
        ghci = self.workspace.start(GHC, "--interactive", "-v0", "-ignore-dot-ghci",
                                    *external(self.iserv), *way.flags, *package.flags,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
        ghci.stdin.write(b"import Subject\nbump\n")
        ghci.stdin.flush()
        self.assertEqual(ghci.stdout.readline(), b"1\n")
        self.upgrade(self.installation / "iserv" / "iservd")
        for _ in range(2):
            self.compile_installed(way, package)
            new = self.wait_until_grown()
        self.assertNotEqual(new.pid, old.pid)
        stdout, stderr = ghci.communicate(b"bump\nvalues\n:quit\n", 30)
        self.assertEqual((stdout.decode(), stderr.decode(), ghci.returncode),
                         (f"2\n({OLD},{OLD},{OLD})\n", "", 0))
        self.wait_for(lambda: self.brokers() == [new.pid], "only the new broker is left")

    def test_removed(self):
        """The installation is removed: its broker ends."""
        way = WAYS[0]
        package = self.make_package(way)
        self.copy_source("Uses.hs")
        self.compile_installed(way, package)
        self.wait_until_grown()
        shutil.rmtree(self.installation)
        self.assertFalse(self.wait_until_all_ended(3), "three seconds after the removal")


@expand
class Namespaces(SharingTest):
    """A compile in a container or a sandbox sees other files, and is not served from outside."""

    def setUp(self):
        super().setUp()
        self.way = WAYS[0]
        self.package = self.make_package(self.way)
        self.warm(self.package, self.way)

    def ghc_command(self):
        return (GHC, *external(OURS), "-v0", "-fforce-recomp", "-c", *self.way.flags,
                *self.package.flags, "Uses.hs")

    def compile_inside(self, *options, first=":"):
        """Compiles within new namespaces, twice; ends what was started there."""
        probe = self.workspace.run("unshare", *options, "true")
        if probe.status:
            self.skipTest(f"unshare {' '.join(options)}: {probe.stderr.strip()}")
        before = self.status()
        script = f'{first} && "$@" && "$@"; status=$?; {ISERVCTL} stop >&2; exit $status'
        done = self.workspace.run("unshare", *options, "sh", "-c", script, "sh", *self.ghc_command())
        after = self.status()
        self.assertEqual(done.status, 0, done)
        self.assertEqual((after.pid, after.attaches), (before.pid, before.attaches), done)
        return done

    @for_each(options=("--mount", "--mount --pid --fork", "--mount --pid --fork --mount-proc",
                       "--user --map-root-user", "--user --map-root-user --mount --pid --fork"))
    def test_results(self, options):
        done = self.compile_inside(*options.split())
        self.assertEqual(done.stdout, f"({OLD},{OLD},{OLD})\n" * 2, done)

    def test_other_files(self):
        """Another build of the library is mounted over the one that is in zygotes outside."""
        other = self.make_package(self.way, NEW, "other")
        done = self.compile_inside(
            "--mount", first=f"mount --bind {other.library} {self.package.library}")
        self.assertEqual(done.stdout, f"({NEW},{NEW},{NEW})\n" * 2, done)
        self.assert_says(OLD, self.package, self.way, "outside")

    def test_ends_with_its_namespace(self):
        """A broker in a container does not keep the container alive, nor outlive it."""
        probe = self.workspace.run("unshare", "--mount", "--pid", "--fork", "true")
        if probe.status:
            self.skipTest(probe.stderr.strip())
        outside = set(self.living())
        done = self.workspace.run("unshare", "--mount", "--pid", "--fork",
                                  "sh", "-c", '"$@"; "$@"', "sh", *self.ghc_command())
        self.assertEqual(done.stdout, f"({OLD},{OLD},{OLD})\n" * 2, done)
        self.assertFalse(set(self.brokers()) - outside, "a broker outlives its container")
        self.assert_says(OLD, self.package, self.way)


@expand
class Confinement(SharingTest):
    """A session inherits from its broker, so a client confined otherwise has a broker with the same."""

    @for_each(confined=("setpriv --bounding-set -chown", "setpriv --no-new-privs", "choom -n 500 --",
                        "chrt --batch 0", "ionice -c 3", "setarch -R"))
    def test_own_broker(self, confined):
        way = WAYS[0]
        package = self.make_package(way)
        self.warm(package, way)
        command = (GHC, *external(OURS), "-v0", "-fforce-recomp", "-c", *way.flags, *package.flags, "Uses.hs")
        outside, before = set(self.brokers()), self.status()
        self.addCleanup(self.workspace.run, *confined.split(), ISERVCTL, "stop")
        done = self.workspace.run(*confined.split(), "sh", "-c", '"$@" && "$@"', "sh", *command)
        self.assertEqual((done.stdout, done.stderr, done.status), (f"({OLD},{OLD},{OLD})\n" * 2, "", 0), done)
        self.assertEqual(self.status().attaches, before.attaches, "the broker outside served it")
        broker, = set(self.brokers()) - outside
        same = self.workspace.run(*confined.split(), "cat", "/proc/self/status", "/proc/self/oom_score_adj",
                                  "/proc/self/personality")
        of_broker = "".join(pathlib.Path(f"/proc/{broker}/{name}").read_text()
                            for name in ("status", "oom_score_adj", "personality"))
        self.assertEqual(self.privileges(of_broker), self.privileges(same.stdout))

    @staticmethod
    def privileges(text):
        return [line for line in text.splitlines() if ":" not in line or line.startswith(("Cap", "NoNewPrivs"))]


if __name__ == "__main__":
    unittest.main()
