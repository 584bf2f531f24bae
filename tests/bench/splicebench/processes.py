"""Runs commands, and waits for what they leave behind."""

import ctypes
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>


@dataclass(frozen=True)
class Finished:
    """A command that has ended: its status, what it printed, and its wall time in seconds."""

    status: int
    output: str
    wall: float


def run(command, directory, environment):
    """Runs `command` to its end, with its output kept in a file of `directory`.

    A file and not a pipe: reading a pipe would take part of the machine while the clock runs.
    """
    with open(directory / "output", "w+b") as output:
        start = time.monotonic()
        process = subprocess.Popen(command, cwd=directory, env=environment,
                                   stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        status = process.wait()
        wall = time.monotonic() - start
        output.seek(0)
        return Finished(status, output.read().decode(errors="replace"), wall)


class Orphans:
    """The processes that finished commands leave to this one.

    GHC does not wait for its external interpreter to end. What is left of one must not run while
    the next compile is measured, and its CPU time belongs to the compile.
    """

    PATIENCE = 5.0  # seconds

    def __init__(self):
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
        self._residents = set()

    def settle(self):
        """Waits until they have ended. What stays for longer is a service, and stays."""
        deadline = time.monotonic() + self.PATIENCE
        while running := self._reap():
            if time.monotonic() > deadline:
                self._residents |= running
            else:
                time.sleep(0.001)

    def _reap(self):
        """Collects those that have ended; returns those that are still to end."""
        running = set()
        for pid in self._children():
            if os.waitpid(pid, os.WNOHANG)[0] == 0:
                running.add(pid)
        return running - self._residents

    @staticmethod
    def _children():
        for task in Path("/proc/self/task").iterdir():
            yield from map(int, (task / "children").read_text().split())
