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


def children(pid):
    """The children of a process; none if it has ended."""
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        return


def descendants(pid):
    for child in children(pid):
        yield child
        yield from descendants(child)


def program_of(pid):
    """The program that a process runs; an empty path if it has ended."""
    try:
        return Path(os.readlink(f"/proc/{pid}/exe"))
    except (FileNotFoundError, ProcessLookupError):
        return Path()


def proportional_bytes(pid):
    """The proportional set size: a page that n processes have in common counts one nth in each."""
    return bytes_in(Path(f"/proc/{pid}/smaps_rollup"), "Pss:")


def peak_resident_bytes(pid):
    """The most that a process has ever had resident."""
    return bytes_in(Path(f"/proc/{pid}/status"), "VmHWM:")


def bytes_in(file, field):
    """What a file of a process says, in kilobytes, of its memory; nothing if the process has ended."""
    try:
        lines = file.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


class Orphans:
    """The processes that finished commands leave to this one.

    GHC does not wait for its external interpreter to end. What is left of one must not run while
    the next compile is measured, and its CPU time belongs to the compile.
    """

    PATIENCE = 5.0  # seconds
    BROKER = "iservd"  # stays until it is stopped

    def __init__(self):
        if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
        self._residents = set()

    def settle(self):
        """Waits until they have ended, but for a broker. What stays for long is a service."""
        deadline = time.monotonic() + self.PATIENCE
        while running := self._reap():
            if time.monotonic() > deadline:
                self._residents |= running
            else:
                time.sleep(0.001)

    def spare(self, pid):
        """A child that is to stay."""
        self._residents.add(pid)

    def brokers(self):
        """The brokers that compiles have started and that have not ended."""
        return [pid for pid in children(os.getpid()) if program_of(pid).name == self.BROKER]

    def _reap(self):
        """Collects those that have ended; returns those that are still to end."""
        running = set()
        for pid in children(os.getpid()):
            if os.waitpid(pid, os.WNOHANG)[0] == 0 and program_of(pid).name != self.BROKER:
                running.add(pid)
        return running - self._residents
