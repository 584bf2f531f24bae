"""Where ./check runs: on this machine, and on Debian suites, each a folder; and what came out."""

import dataclasses
import fcntl
import itertools
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CHECKOUT = FOLDER.parents[1]

# In the root; it is kept for the next time, as the root is.
BUILD = "/splicehost/build"

# Of the caller's variables, those that a root is told.
PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "SPLICEHOST_FUZZ_SECONDS", "SPLICEHOST_MUTATIONS")

# Run when a root is made. Services must not be started there, and it need not survive a power failure.
PREPARE = """
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/unsafe-io
echo 'Acquire::Languages "none";' > /etc/apt/apt.conf.d/languages
"""
# What the mirror does not have is a failure, not a warning: else an old root would pass for today's suite. A mirror that
# stands still is another matter: what it has is that suite, of some day.
UPDATE = """
echo "deb $0 $1 main" > /etc/apt/sources.list
echo 'Acquire::Check-Valid-Until "false";' > /etc/apt/apt.conf.d/valid
apt-get update -qq -o APT::Update::Error-Mode=any && apt-get dist-upgrade -y -qq
"""
INSTALL = "./setup tests && apt-get clean"

# What installs, which may be beside the tests of another suite, leaves the processors to them.
INSTALL_NICENESS = 10

# After this time a mirror is taken not to answer, and a command to hang.
MIRROR_SECONDS = 30
INSTALL_SECONDS = 30 * 60
CHECK_SECONDS = 3 * 60 * 60

# How ./check begins what it says again of what failed.
FAILURES = "== The end of "
CLOSING_LINE = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")


@dataclasses.dataclass
class Outcome:
    """What came out for one suite. `trouble` is why it has fewer results than it should; usually empty. `failures` is
    what ./check said again, at its end, of what failed."""

    suite: str
    ghc: str = "-"
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    trouble: str = ""
    installing: float = 0
    seconds: float = 0
    failures: list[str] = dataclasses.field(default_factory=list)

    def fail(self, trouble):
        """Counts one failure for what did not come to the point of being counted."""
        self.failed += 1
        self.trouble = trouble

    def add_results(self, status, lines):
        """Adds what ./check said last. If it did not come to its end, that is a failure."""
        found = CLOSING_LINE.fullmatch(lines[-1]) if lines else None
        if not found:
            self.fail(f"./check ended with status {status} before it had counted its tests")
            return
        passed, failed, skipped = (int(text or 0) for text in found.groups())
        self.failures = list(itertools.dropwhile(lambda line: not line.startswith(FAILURES), lines[:-1]))
        self.passed += passed
        self.failed += failed
        self.skipped += skipped
        if status != 0 and failed == 0:
            self.fail(f"./check ended with status {status}, but named no failure")
        if passed == 0 and failed == 0:
            self.fail("no test passed")


class NotInstalled(Exception):
    """A suite could not be made ready to run anything."""


def run(words, outputs, limit):
    """Runs a command: (status, lines of output). What it says is written to each of the outputs, too."""
    lines = []
    with subprocess.Popen([str(word) for word in words], stdin=subprocess.DEVNULL, text=True, errors="replace",
                          cwd=CHECKOUT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        overdue = threading.Event()

        def stop():
            overdue.set()
            process.kill()

        timer = threading.Timer(limit, stop)
        timer.start()
        try:
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                for stream in outputs:
                    stream.write(line)
                    stream.flush()
        finally:
            timer.cancel()
    if overdue.is_set():
        lines.append(f"no end within {limit} s: {' '.join(map(str, words))}")
    return process.returncode, lines


class Machine:
    """This machine as it is."""

    name = "here"

    def __init__(self, steps):
        self._steps = steps

    def install(self):
        """Only what is missing. What fails is said by ./check."""
        run(["./setup", "tests", "fuzz", "style"], [sys.stdout], INSTALL_SECONDS)

    def check(self):
        outcome = Outcome(self.name)
        started = time.monotonic()
        result = run(["./check", *self._steps], [sys.stdout], CHECK_SECONDS)
        if shutil.which("ghc"):
            outcome.ghc = run(["ghc", "--numeric-version"], [], INSTALL_SECONDS)[1][-1]
        outcome.add_results(*result)
        outcome.seconds = time.monotonic() - started
        return outcome


class Suite:
    """One Debian suite, and the folder that has its root. What is said there is in a log beside it."""

    def __init__(self, name, roots, mirror, update, steps):
        self.name = name
        self.root = Path(roots) / name
        self.log = Path(roots) / f"{name}.log"
        self._mirror = mirror.rstrip("/")
        self._update = update
        self._steps = steps
        self._outcome = Outcome(name)

    def _isolated(self, words, limit, outputs=(), niceness=INSTALL_NICENESS):
        """Runs a command with all that it starts in namespaces of its own: (status, lines of output).

        Nothing outlives it: neither a process nor a mount, even if this process is killed.
        """
        with open(self.log, "a", encoding="utf-8") as log:
            return run(["nice", "-n", str(niceness), "setpriv", "--pdeathsig", "KILL", "unshare", "--mount",
                        "--propagation", "private", "--pid", "--fork", "--kill-child", *words], [log, *outputs], limit)

    def enter(self, words, limit, outputs=(), niceness=INSTALL_NICENESS):
        """Runs a command in the root, in the checkout: (status, lines of output)."""
        variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                     "LANG": "C.UTF-8", "TERM": "dumb", "DEBIAN_FRONTEND": "noninteractive",
                     "PYTHONDONTWRITEBYTECODE": "1", "SPLICEHOST_BUILD": BUILD}
        variables.update({name: os.environ[name] for name in PASSED_ON if name in os.environ})
        return self._isolated([FOLDER / "enter", self.root, CHECKOUT, "env", "-i",
                               *(f"{name}={value}" for name, value in variables.items()), *words], limit, outputs,
                              niceness)

    def install(self):
        """Makes the root if there is none, brings it up to date, and installs what ./setup says.

        What fails is `trouble`, which `check` reports. From here until then no other run works in this root.
        """
        started = time.monotonic()
        self._lock = open(self.log.with_suffix(".lock"), "w", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"---- {self.name}: waiting for another run, which holds {self._lock.name}", flush=True)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.log.write_text("", encoding="utf-8")
        print(f"---- {self.name}: being installed in {self.root}, see {self.log}", flush=True)
        try:
            self._install()
        except NotInstalled as error:
            self._outcome.fail(f"NOT INSTALLED: {error}")
            with open(self.log, "a", encoding="utf-8") as log:
                log.write(f"{self._outcome.trouble}\n")
        self._outcome.installing = time.monotonic() - started
        state = self._outcome.trouble or f"installed after {self._outcome.installing:.0f} s"
        print(f"---- {self.name}: {state}", flush=True)

    @property
    def trouble(self):
        return self._outcome.trouble

    def _install(self):
        is_new = not self.root.exists()
        if is_new or self._update:
            self._require_mirror()
        if is_new:
            self._make()
        if is_new or self._update:
            self._require("apt-get", self.enter(["sh", "-c", UPDATE, self._mirror, self.name], INSTALL_SECONDS))
        self._require("./setup", self.enter(["sh", "-c", INSTALL], INSTALL_SECONDS))

    def _require_mirror(self):
        """Asked first, since debootstrap would wait for a mirror that does not answer for a long time."""
        url = f"{self._mirror}/dists/{self.name}/InRelease"
        try:
            with urllib.request.urlopen(url, timeout=MIRROR_SECONDS) as answer:
                answer.read()
        except (OSError, ValueError) as error:
            # An HTTPError is an OSError, too, and says which status.
            raise NotInstalled(f"{url}: {getattr(error, 'reason', error)}") from error

    def _make(self):
        unfinished = self.root.with_name(self.root.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            self._require("debootstrap", self._isolated(
                ["debootstrap", "--variant=minbase", "--include=ca-certificates", self.name, unfinished, self._mirror],
                INSTALL_SECONDS))
            unfinished.rename(self.root)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        self._require("preparing the root", self.enter(["sh", "-c", PREPARE], INSTALL_SECONDS))

    def _require(self, what, result):
        status, lines = result
        if status != 0:
            said = [line for line in lines if line.strip()]
            raise NotInstalled(f"{what} failed: {said[-1] if said else f'exit status {status}'}")

    def check(self):
        """Runs ./check in the root, after `install`."""
        outcome = self._outcome
        started = time.monotonic()
        if not outcome.trouble:
            outcome.ghc = (self.enter(["ghc", "--numeric-version"], INSTALL_SECONDS)[1] or ["-"])[-1]
            outcome.add_results(*self.enter(["./check", *self._steps], CHECK_SECONDS, [sys.stdout], niceness=0))
        outcome.seconds = time.monotonic() - started
        self._lock.close()
        return outcome


def summary(outcomes):
    """What failed, a line for each suite, and the closing line."""
    failures = [line for o in outcomes if o.failures for line in (f"==== {o.suite}", *o.failures, "")]
    rows = [("suite", "GHC", "passed", "failed", "skipped", "installing", "minutes", "")]
    rows += [(o.suite, o.ghc, str(o.passed), str(o.failed), str(o.skipped), f"{o.installing / 60:.1f}",
              f"{o.seconds / 60:.1f}", o.trouble) for o in outcomes]
    widths = [max(len(row[i]) for row in rows) for i in range(7)]
    lines = ["  ".join([*(cell.ljust(width) if i < 2 else cell.rjust(width)
                          for i, (cell, width) in enumerate(zip(row, widths))), row[7]]).rstrip()
             for row in rows]
    skipped = sum(o.skipped for o in outcomes)
    lines += ["", f"{sum(o.passed for o in outcomes)} passed, {sum(o.failed for o in outcomes)} failed"
              + (f", {skipped} skipped" if skipped else "")]
    return "\n".join(failures + lines)
