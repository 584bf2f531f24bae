"""Compiles share interpreters that have loaded libraries: the basics, and what all such tests need."""

import ctypes
import dataclasses
import fcntl
import functools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

from support import GHC, MODULES, OURS, WAYS, IntegrationTest, expand, external, for_each, send_signal
from test_iservctl import BINARY as ISERVCTL

GHC_PKG = os.path.join(os.path.dirname(GHC), os.path.basename(GHC).replace("ghc", "ghc-pkg"))

BROKER = "iservd"
OURS_TO_REAP = (BROKER, "interpreter", "interpreter-pro", "interpreter-dyn")
"""Names, as the kernel cuts them, of the processes that may become orphans."""

PR_SET_CHILD_SUBREAPER = 36
NOBODY = 65534

OLD, NEW = 1111, 2222
"""What two builds of the library say of themselves: numbers that take the same space."""


@dataclasses.dataclass(frozen=True)
class Process:
    """A process as /proc shows it."""

    pid: int
    parent: int
    state: str
    name: str


def all_processes():
    """{pid: process}"""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                before, _, after = (entry / "stat").read_text().rpartition(")")
            except OSError:
                continue
            state, parent = after.split()[:2]
            pid, _, name = before.partition(" (")
            found[int(pid)] = Process(int(pid), int(parent), state, name)
    return found


def descendants(ancestor):
    """The processes that a process has started, directly or not, zombies included: {pid: process}."""
    processes = all_processes()
    children = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process)
    found, todo = {}, list(children.get(ancestor, []))
    while todo:
        process = todo.pop()
        found[process.pid] = process
        todo += children.get(process.pid, [])
    return found


def adopt_orphans(adopt):
    """Whether orphans become children of this process, so that none can hide from the test."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)


@functools.lru_cache(maxsize=None)
def package_id(name):
    done = subprocess.run([GHC_PKG, "field", name, "id", "--simple-output"], check=True,
                          capture_output=True, text=True)
    return done.stdout.split()[-1]


@dataclasses.dataclass(frozen=True)
class Zygote:
    pid: int
    files: tuple
    growing: bool
    forks: int


@dataclasses.dataclass(frozen=True)
class Session:
    pid: int
    client: int
    zygote: int


@dataclasses.dataclass(frozen=True)
class Status:
    """What `iservctl status --json` says of a broker that runs."""

    pid: int
    zygotes: tuple
    sessions: tuple
    attaches: int
    hits: int

    @staticmethod
    def parse(report):
        zygotes = tuple(Zygote(zygote["processId"], tuple(zygote["files"]), zygote["growing"],
                               zygote["forks"]) for zygote in report["zygotes"])
        sessions = tuple(Session(session["processId"], session["clientProcessId"],
                                 session["zygoteProcessId"]) for session in report["sessions"])
        return Status(report["processId"], zygotes, sessions, report["attaches"], report["hits"])

    @property
    def grown(self):
        """The zygotes that have loaded something."""
        return [zygote for zygote in self.zygotes if zygote.files]

    @property
    def is_growing(self):
        return any(zygote.growing for zygote in self.zygotes)


def pids(status):
    """Of the zygotes."""
    return sorted(zygote.pid for zygote in status.zygotes)


class Package:
    """A package `subject` in a database of its own, in a directory that can be moved.

    It has Haskell modules, a C source, and a shared object that needs another one, which may be in
    `lib/first` or in `lib`; if it is `whole` they are part of its library instead. Its values say which
    build it is.
    """

    def __init__(self, workspace, way, directory, value, whole=False):
        self.workspace, self.way, self.value, self.whole = workspace, way, value, whole
        self.directory = pathlib.Path(directory)
        self.library = self.directory / "lib"

    @property
    def flags(self):
        return ("-package-db", str(self.directory / "db"))

    @property
    def code(self):
        """The file with the Haskell code."""
        return next(file for file in self.library.iterdir() if file.name.startswith("libHSsubject"))

    @property
    def dependency(self):
        """The shared object that only another shared object names."""
        return self.library / "libinner.so"

    def build(self):
        objects = self.directory / "objects"
        self.library.mkdir(parents=True)
        objects.mkdir()
        sources = MODULES / "sharing"
        define = f"-DVALUE={self.value}"
        gcc = ("gcc", "-fPIC", define)
        self._run(*gcc, "-c", sources / "cbits" / "subject.c", "-o", objects / "subject_c.o")
        if self.whole:
            for part in ("inner", "outer"):
                self._run(*gcc, "-c", sources / "cbits" / f"{part}.c", "-o", objects / f"{part}.o")
        else:
            self._run(*gcc, "-shared", sources / "cbits" / "inner.c", "-o", self.dependency)
            needs = ("-L" + str(self.library), "-Wl,-rpath,$ORIGIN/first:$ORIGIN")
            self._run(*gcc, "-shared", sources / "cbits" / "outer.c", *needs, "-linner",
                      "-o", self.library / "libouter.so")
        self._run(GHC, "-v0", "--make", "-no-link", *self.way.flags, define, "-fPIC",
                  "-this-unit-id", "subject-1.0", f"-i{sources}", "-odir", objects,
                  "-hidir", self.library, "Subject", "Facts")
        made = sorted(objects.iterdir())
        if self.way.name == "dynamic":
            version = self._run(GHC, "--numeric-version").strip()
            parts = () if self.whole else (f"-L{self.library}", "-optl-Wl,-rpath,$ORIGIN", "-louter")
            self._run(GHC, "-v0", "-shared", "-dynamic", "-this-unit-id", "subject-1.0", *made, *parts,
                      "-package", "process", "-package", "unix", "-package", "directory",
                      "-o", self.library / f"libHSsubject-1.0-ghc{version}.so")
        else:
            suffix = "_p" if self.way.name == "profiling" else ""
            self._run("ar", "qsD", self.library / f"libHSsubject-1.0{suffix}.a", *made)
        self._register()
        return self

    def _register(self):
        database = self.directory / "db"
        description = self.directory / "subject.conf"
        needed = " ".join(map(package_id, ("base", "unix", "directory", "process")))
        description.write_text(
            "name: subject\nversion: 1.0\nid: subject-1.0\nkey: subject-1.0\nexposed: True\n"
            "exposed-modules: Subject Facts\nhs-libraries: HSsubject-1.0\n"
            f"extra-libraries: {'' if self.whole else 'outer'}\n"
            "import-dirs: ${pkgroot}/lib\nlibrary-dirs: ${pkgroot}/lib\n"
            f"dynamic-library-dirs: ${{pkgroot}}/lib\ndepends: {needed}\n")
        self._run(GHC_PKG, "init", database)
        self._run(GHC_PKG, "--package-db", database, "-v0", "--force", "register", description)

    def _run(self, *command):
        done = self.workspace.run(*command)
        if done.status:
            raise RuntimeError(str(done))
        return done.stdout

    def copy_to(self, directory):
        """The same package elsewhere."""
        shutil.copytree(self.directory, directory)
        return Package(self.workspace, self.way, directory, self.value, self.whole)


class SharingTest(IntegrationTest):
    """A test with a broker of its own, all of whose processes must be gone after it was stopped."""

    def setUp(self):
        super().setUp()
        for name in [name for name in self.workspace.env if name.startswith("ISERV_")]:
            del self.workspace.env[name]
        self.workspace.env["XDG_CONFIG_HOME"] = str(self.workspace.root / "home" / ".config")
        adopt_orphans(True)
        self.addCleanup(self._stop_sharing)

    def _stop_sharing(self):
        stopped = self.workspace.run(ISERVCTL, "stop", timeout=20)
        left = self.wait_until_all_ended(5)
        for pid in left:
            send_signal(pid, signal.SIGKILL)
        self.wait_until_all_ended(5)
        adopt_orphans(False)
        self.assertFalse(left, f"alive after: {stopped}")

    # --- processes

    def living(self):
        """What the test has started and is alive, or a zombie of somebody else: {pid: process}."""
        found = {}
        for pid, process in descendants(os.getpid()).items():
            if process.parent == os.getpid() and process.state == "Z":
                # An orphan's new parent must do what init would do. Of others, Popen takes care.
                if process.name in OURS_TO_REAP:
                    os.waitpid(pid, os.WNOHANG)
            else:
                found[pid] = process
        return found

    def brokers(self):
        return [pid for pid, process in self.living().items() if process.name == BROKER]

    def wait_until_all_ended(self, seconds):
        """Those that are alive nevertheless."""
        deadline = time.monotonic() + seconds
        while (left := self.living()) and time.monotonic() < deadline:
            time.sleep(0.02)
        return left

    def log(self):
        """The end of what brokers have logged."""
        return "".join(log.read_text()[-3000:] for log in self.workspace.runtime.glob("splicehost/*.log"))

    def wait_for(self, condition, what, seconds=20):
        """Waits until the condition is true (anything but false or nothing), and returns it."""
        deadline = time.monotonic() + seconds
        while not (result := condition()):
            if time.monotonic() > deadline:
                self.fail(f"not within {seconds} s: {what() if callable(what) else what}; {self.status()}; {self.living()}\n{self.log()}")
            time.sleep(0.02)
        return result

    def wait_for_file(self, name, process=None, seconds=30):
        """Waits until a splice has made a file in the working directory, and removes it."""
        path = self.workspace.cwd / name
        self.wait_for(lambda: path.exists() or (process and process.poll() is not None),
                      f"{name} is there", seconds)
        if not path.exists():
            said = process.stderr.read().decode() if process.stderr else ""
            self.fail(f"GHC ended before there was a {name}: {said}")
        path.unlink()

    # --- the broker

    def status(self, iservctl=ISERVCTL):
        """What the broker says of itself; None if there is none."""
        done = self.workspace.run(iservctl, "status", "--json", timeout=20)
        report = json.loads(done.stdout) if done.stdout.strip() else {}
        return Status.parse(report) if report.get("processId") else None

    def statuses(self):
        """The same of all brokers."""
        report = json.loads(self.workspace.run(ISERVCTL, "status", "--json", timeout=20).stdout)
        return [Status.parse(each) for each in (report, *report.get("others", ())) if each.get("processId")]

    def wait_until_grown(self, zygotes=1):
        """Waits until so many zygotes have loaded something, and nothing is being loaded."""
        def grown():
            status = self.status()
            return status and not status.is_growing and len(status.grown) >= zygotes and status
        return self.wait_for(grown, f"{zygotes} zygotes are grown")

    def wait_for_no_session(self):
        """Waits until all sessions have ended: the status then."""
        def idle():
            status = self.status()
            return status and not status.sessions and status
        return self.wait_for(idle, "no session is left")

    # --- compiling

    def make_package(self, way, value=OLD, name="package", whole=False):
        directory = self.workspace.root / name
        made = os.environ.get("SPLICEHOST_MADE_PACKAGES")
        if not made:
            return Package(self.workspace, way, directory, value, whole).build()
        return self._made_package(pathlib.Path(made), way, value, whole).copy_to(directory)

    def _made_package(self, made, way, value, whole):
        """The package in the directory of those that tests have made for each other; it is made if it is not there."""
        directory = made / f"{way.name}-{value}-{'whole' if whole else 'parts'}"
        with open(f"{directory}.lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not directory.exists():
                unfinished = pathlib.Path(f"{directory}.new")
                shutil.rmtree(unfinished, ignore_errors=True)
                Package(self.workspace, way, unfinished, value, whole).build()
                unfinished.rename(directory)
        return Package(self.workspace, way, directory, value, whole)

    def copy_source(self, name):
        shutil.copy(MODULES / "sharing" / name, self.workspace.cwd)
        return name

    def compile(self, way, *arguments, status=0, **options):
        """One GHC, once; it says nothing but errors and warnings."""
        done = self.workspace.ghc(OURS, "-v0", "-fforce-recomp", "-c", *way.flags, *arguments,
                                  **options)
        if status is not None:
            self.assertEqual(done.status, status, done)
        return done

    def start_compile(self, way, *arguments, **options):
        """The same, without waiting for it."""
        return self.workspace.start(GHC, *external(OURS), "-v0", "-fforce-recomp", "-c", *way.flags,
                                    *arguments, **options)

    def compile_directly(self, way, *arguments, **options):
        """The same, with an interpreter that nobody shares."""
        self.workspace.env["ISERV_SHARE"] = "off"
        try:
            return self.compile(way, *arguments, **options)
        finally:
            del self.workspace.env["ISERV_SHARE"]

    def assert_says(self, value, package, way, what="the splice's library"):
        """The splice of Uses.hs runs a library of which all parts have this value."""
        done = self.compile(way, *package.flags, "Uses.hs")
        self.assertEqual((done.stdout, done.stderr), (f"({value},{value},{value})\n", ""), what)

    def warm(self, package, way):
        """Compiles until the package is in a zygote."""
        self.copy_source("Uses.hs")
        self.assert_says(package.value, package, way)
        self.wait_until_grown()
        before = self.status()
        self.assert_says(package.value, package, way)
        self.assertEqual(self.status().hits, before.hits + 1, "the second compile did not share")


@expand
class Basics(SharingTest):
    @for_each(way=WAYS)
    def test_grows_and_hits(self, way):
        """The first compile starts all that is needed; the next one finds the libraries loaded."""
        package = self.make_package(way)
        self.copy_source("Uses.hs")
        self.assert_says(OLD, package, way)
        self.assertEqual(len(self.brokers()), 1)
        grown = self.wait_until_grown()
        self.assertEqual((grown.attaches, grown.hits, grown.pid), (1, 0, self.brokers()[0]))
        for count in (1, 2, 3):
            self.assert_says(OLD, package, way)
            after = self.wait_until_grown()
            self.assertEqual((after.attaches, after.hits), (1 + count, count))
        self.assertEqual(pids(after), pids(grown))

    @for_each(way=WAYS)
    def test_another_directory_hits(self, way):
        package = self.make_package(way)
        self.warm(package, way)
        before = self.status()
        self.workspace.cwd = self.workspace._directory("elsewhere")
        self.copy_source("Uses.hs")
        self.assert_says(OLD, package, way)
        self.assertEqual(self.status().hits, before.hits + 1)

    @for_each(way=WAYS)
    def test_share_off(self, way):
        package = self.make_package(way)
        self.copy_source("Uses.hs")
        done = self.compile_directly(way, *package.flags, "Uses.hs")
        self.assertEqual((done.stdout, done.stderr), (f"({OLD},{OLD},{OLD})\n", ""))
        self.assertEqual((self.brokers(), list(self.workspace.runtime.iterdir())), ([], []))

    @for_each(way=WAYS)
    def test_home_module_is_shared_from_the_third_compile(self, way):
        """A home module's code becomes part of a zygote when it is seen for the second time."""
        package = self.make_package(way)
        self.workspace.write("Home.hs", "module Home where\nimport Subject\ntwice :: Int\n"
                             "twice = 2 * haskellValue\n{-# NOINLINE twice #-}\n")
        self.workspace.write("UsesHome.hs", "{-# LANGUAGE TemplateHaskell #-}\nmodule UsesHome where\n"
                             "import Language.Haskell.TH\nimport Home\n"
                             "$(runIO (print twice) >> pure [])\n")
        self.compile(way, *package.flags, "Home.hs")
        for _ in range(4):
            done = self.compile(way, *package.flags, "UsesHome.hs")
            self.assertEqual((done.stdout, done.stderr), (f"{2 * OLD}\n", ""))
            status = self.wait_until_grown()
        if way.name != "dynamic":
            # A dynamic GHC links home modules into a file that is new each time.
            self.assertTrue([zygote for zygote in status.grown if "Home" in zygote.files[-1]], status)

    def test_stop(self):
        """After a stop nothing is left, and the next compile starts anew."""
        way = WAYS[0]
        package = self.make_package(way)
        self.warm(package, way)
        first = self.status()
        self.assertEqual(self.workspace.run(ISERVCTL, "stop").status, 0)
        self.assertFalse(self.wait_until_all_ended(2))
        self.assertIsNone(self.status())
        self.assert_says(OLD, package, way)
        self.assertNotEqual(self.wait_until_grown().pid, first.pid)

    def test_stop_lets_sessions_finish(self):
        way = WAYS[0]
        package = self.make_package(way)
        self.warm(package, way)
        self.workspace.write("Waits.hs", WAITS)
        waiting = self.start_compile(way, *package.flags, "Waits.hs", stdout=subprocess.PIPE)
        self.wait_for_file("here", waiting)
        self.assertEqual(self.workspace.run(ISERVCTL, "stop").status, 0)
        self.wait_for(lambda: not self.brokers(), "the broker has ended")
        self.workspace.write("go", "")
        stdout, _ = waiting.communicate(timeout=20)
        self.assertEqual((stdout, waiting.returncode), (f"({OLD},{OLD},{OLD})\n".encode(), 0))

    def use_for_a_second(self):
        """Has a broker that is to end when nobody has used it for a second, and uses it."""
        self.workspace.env["ISERV_IDLE"] = "1"
        way = WAYS[0]
        package = self.make_package(way)
        self.copy_source("Uses.hs")
        self.assert_says(OLD, package, way)

    def test_idle(self):
        """A broker that nobody uses ends, and all its zygotes with it."""
        self.use_for_a_second()
        self.assertFalse(self.wait_until_all_ended(10), "idle for more than a second")

    def test_idle_but_watched(self):
        """Who only looks at a broker does not use it."""
        self.use_for_a_second()
        self.wait_for(lambda: self.status() is None, "idle for more than a second", 10)

    def test_status_of_a_session(self):
        """The status knows who is being served, and the session is a fork of a zygote."""
        way = WAYS[0]
        package = self.make_package(way)
        self.warm(package, way)
        self.workspace.write("Waits.hs", WAITS)
        waiting = self.start_compile(way, *package.flags, "Waits.hs", stdout=subprocess.DEVNULL)
        self.wait_for_file("here", waiting)
        status = self.status()
        self.assertEqual(len(status.sessions), 1, status)
        session = status.sessions[0]
        processes = self.living()
        self.assertEqual(processes[session.client].parent, waiting.pid, status)
        self.assertIn(session.zygote, pids(status))
        self.assertIn(session.pid, processes)
        self.workspace.write("go", "")
        self.assertEqual(waiting.wait(20), 0)
        self.wait_for_no_session()


WAITS = """
{-# LANGUAGE TemplateHaskell #-}
module Waits where
import Facts
import Language.Haskell.TH
import Subject
$(runIO (waitForFile "here" "go") >> pure [])
$(runIO (values >>= print) >> pure [])
"""

if __name__ == "__main__":
    unittest.main()
