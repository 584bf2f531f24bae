"""Debian suites as folders to run this checkout in: making them, entering them, and what came out."""

import contextlib
import dataclasses
import fcntl
import os
import re
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]

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
UPDATE = "apt-get update -qq && apt-get dist-upgrade -y -qq"
INSTALL = "./setup tests && apt-get clean"

CLOSING_LINE = re.compile(r"(\d+) passed, (\d+) failed(?:, (\d+) skipped)?")


@dataclasses.dataclass
class Outcome:
    """What came out for one suite. `trouble` is why it has fewer results than it should; usually empty."""

    suite: str
    ghc: str = "-"
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    trouble: str = ""
    seconds: float = 0

    def fail(self, trouble):
        """Counts one failure for what did not come to the point of being counted."""
        self.failed += 1
        self.trouble = trouble


class NotInstalled(Exception):
    """A suite could not be made ready to run anything."""


class Host:
    """Runs commands, and keeps what they say in a log."""

    def __init__(self, log):
        self._log = log

    def run(self, words):
        """Runs a command with all that it starts in namespaces of its own: (status, lines of output).

        Nothing outlives it: neither a process nor a mount, even if this process is killed.
        """
        isolated = ["setpriv", "--pdeathsig", "KILL",
                    "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", *words]
        lines = []
        with subprocess.Popen([str(word) for word in isolated], stdin=subprocess.DEVNULL, text=True,
                              errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
            try:
                for line in process.stdout:
                    lines.append(line.rstrip("\n"))
                    for stream in (self._log, sys.stdout):
                        stream.write(line)
                        stream.flush()
            except BaseException:
                process.kill()
                raise
        return process.returncode, lines


class Suite:
    """One Debian suite, and the folder that has its root."""

    def __init__(self, name, roots, mirror, host):
        self.name = name
        self.root = Path(roots) / name
        self._mirror = mirror
        self._host = host

    def enter(self, *words):
        """Runs a command in the root, in the checkout: (status, lines of output)."""
        variables = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                     "LANG": "C.UTF-8", "TERM": "dumb", "DEBIAN_FRONTEND": "noninteractive",
                     "PYTHONDONTWRITEBYTECODE": "1", "SPLICEHOST_BUILD": BUILD}
        variables.update({name: os.environ[name] for name in PASSED_ON if name in os.environ})
        return self._host.run([HERE / "enter", self.root, CHECKOUT, "env", "-i",
                               *(f"{name}={value}" for name, value in variables.items()), *words])

    def install(self, update):
        """Makes the root if there is none, brings it up to date, and installs what ./setup says."""
        if not self.root.exists():
            unfinished = self.root.with_name(self.root.name + ".new")
            self._require("debootstrap", self._host.run(
                ["sh", "-c", 'rm -rf "$1" && exec debootstrap --variant=minbase --include=ca-certificates "$0" "$1" "$2"',
                 self.name, unfinished, self._mirror]))
            unfinished.rename(self.root)
            self._require("preparing the root", self.enter("sh", "-c", PREPARE))
        if update:
            self._require("apt-get", self.enter("sh", "-c", UPDATE))
        self._require("./setup", self.enter("sh", "-c", INSTALL))

    def _require(self, what, result):
        status, lines = result
        if status != 0:
            said = [line for line in lines if line.strip()]
            raise NotInstalled(f"{what} failed: {said[-1] if said else f'exit status {status}'}")

    def check(self, steps, update=True):
        """Installs the suite and runs ./check there."""
        outcome = Outcome(self.name)
        started = time.monotonic()
        try:
            self.install(update)
        except NotInstalled as error:
            outcome.fail(f"NOT INSTALLED: {error}")
        else:
            outcome.ghc = (self.enter("ghc", "--numeric-version")[1] or ["-"])[-1]
            add_results(outcome, *self.enter("./check", *steps))
        outcome.seconds = time.monotonic() - started
        return outcome


def add_results(outcome, status, lines):
    """Adds what ./check said last. If it did not come to its end, that is a failure."""
    found = CLOSING_LINE.fullmatch(lines[-1]) if lines else None
    if not found:
        outcome.fail(f"./check ended with status {status} before it had counted its tests")
        return
    passed, failed, skipped = (int(text or 0) for text in found.groups())
    outcome.passed += passed
    outcome.failed += failed
    outcome.skipped += skipped
    if status != 0 and failed == 0:
        outcome.fail(f"./check ended with status {status}, but named no failure")
    if passed == 0 and failed == 0:
        outcome.fail("no test passed")


@contextlib.contextmanager
def lock(path):
    """One run at a time works in a root."""
    with open(path, "w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another run, which holds {path}", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def summary(outcomes):
    """A line for each suite, and the closing line."""
    rows = [("suite", "GHC", "passed", "failed", "skipped", "minutes", "")]
    rows += [(o.suite, o.ghc, str(o.passed), str(o.failed), str(o.skipped), f"{o.seconds / 60:.0f}", o.trouble)
             for o in outcomes]
    widths = [max(len(row[i]) for row in rows) for i in range(6)]
    lines = ["  ".join([*(cell.ljust(width) if i < 2 else cell.rjust(width)
                          for i, (cell, width) in enumerate(zip(row, widths))), row[6]]).rstrip()
             for row in rows]
    skipped = sum(o.skipped for o in outcomes)
    lines += ["", f"{sum(o.passed for o in outcomes)} passed, {sum(o.failed for o in outcomes)} failed"
              + (f", {skipped} skipped" if skipped else "")]
    return "\n".join(lines)
