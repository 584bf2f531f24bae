"""kill -9 of GHC, of the front end or of the interpreter, whenever: nothing of ours remains.

SPLICEHOST_KILLS says how many kills there are in all (default 54).
"""

import dataclasses
import os
import pathlib
import random
import re
import signal
import subprocess
import time
import unittest

from support import GHC, OURS, WAYS, IntegrationTest, expand, external, for_each, send_signal

KILLS = int(os.environ.get("SPLICEHOST_KILLS", "54"))

TOOLS = re.compile(r"(gcc|cc1|collect2|as|ld[.\w]*|ar|sh)(-\d+)?$")
"""Programs that GHC runs and that end by themselves."""

GHCS_OWN_FILES = re.compile(r"tmp/ghc\d+_\d+(/|$)|work/.*(o|hi)(-boot)?(\.tmp)?$|home/\.ghc(/|$)")
"""What GHC leaves behind: its temporary directory if it was killed, and what it was to make."""


@dataclasses.dataclass(frozen=True)
class Activity:
    """What is going on when the kill comes: GHC's arguments, what is typed, for how long."""

    name: str
    arguments: tuple
    typed: str
    seconds: float


GHCI = ("--interactive", "-v0", "-ignore-dot-ghci")

ACTIVITIES = (
    Activity("compiling", ("-c", "Lenses.hs", "-fforce-recomp"), "", 1.0),
    Activity("evaluating", GHCI, "print (length [1 :: Integer ..])\n", 1.2),
    Activity("idle", GHCI, "import Control.Concurrent\n_ <- forkIO (threadDelay 100000000)\n", 2.0),
)

VICTIMS = ("ghc", "front_end", "interpreter")


@expand
class Kill(IntegrationTest):
    """Each victim, during each activity, in each way, at random moments."""

    @for_each(victim=VICTIMS)
    @for_each(activity=ACTIVITIES)
    @for_each(way=WAYS)
    def test(self, victim, activity, way):
        self.workspace.copy_modules("lens")
        self.assert_works(activity, way)
        moments = random.Random(f"{victim} {activity.name} {way.name}")
        wanted = -(-KILLS // (len(VICTIMS) * len(ACTIVITIES) * len(WAYS)))
        for _ in range(20 * wanted):
            wanted -= self.kill_once(victim, activity, way, moments.uniform(0, activity.seconds))
            if wanted == 0:
                return
        self.fail(f"GHC was mostly done before its {victim} could be killed")

    def assert_works(self, activity, way):
        """Undisturbed, the same GHC does its work: so a kill does disturb something."""
        done = self.workspace.ghc(OURS, *way.flags, *activity.arguments, stdin="6 * 7\n")
        self.assertEqual(done.status, 0, done)
        self.assertEqual(done.stdout, "42\n" if activity.typed else "", done)

    def kill_once(self, victim, activity, way, delay):
        """One kill after the delay, and what must follow; False if GHC was done before it."""
        before = self.files()
        process = self.workspace.start(GHC, *external(OURS), *way.flags, *activity.arguments,
                                       stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        process.stdin.write(activity.typed.encode())
        process.stdin.flush()
        time.sleep(delay)
        pid = self.find(victim, process)
        if pid and send_signal(pid, signal.SIGKILL):
            self.assert_nothing_of_ours(process, f"{victim} killed after {delay:.3f} s")
        process.stdin.close()
        self.assert_ends(process)
        left = [name for name in self.files() - before if not GHCS_OWN_FILES.search(name)]
        self.assertFalse(left, "files left behind")
        return bool(pid)

    def find(self, victim, process):
        """The victim's process id, as soon as it exists; None if GHC ends without it."""
        while process.poll() is None:
            pid = self.victims(process).get(victim)
            if pid:
                return pid
            time.sleep(0.002)
        return None

    def victims(self, process):
        """{role: process id} of those that are alive.

        The interpreter is the front end's child; a program that is both at once is found as
        either.
        """
        found = {"ghc": process.pid}
        parents = {pid: parent(pid) for pid in self.ours(process)}
        for pid in parents:
            if parents[pid] == process.pid:
                found["front_end"] = pid
                children = [child for child in parents if parents[child] == pid]
                found["interpreter"] = children[0] if children else pid
        return found

    def ours(self, process):
        """Processes started by GHC that run neither GHC, still, nor a tool: {pid: command line}."""
        ghc = program(process.pid)
        return {pid: command for pid, command in self.workspace.processes().items()
                if pid != process.pid and program(pid) not in (ghc, "")
                and not TOOLS.search(program(pid))}

    def assert_nothing_of_ours(self, process, what):
        deadline = time.monotonic() + 1
        while (alive := self.ours(process)) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertFalse(alive, f"alive one second after: {what}")

    def assert_ends(self, process):
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            self.fail("GHC has not ended within 20 s")

    def files(self):
        """The names of all files in the workspace, sockets and directories included."""
        return {str(path.relative_to(self.workspace.root))
                for path in self.workspace.root.rglob("*")}


def parent(pid):
    """The parent's process id; None if there is no such process."""
    try:
        status = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[1])


def program(pid):
    """The path of the program that a process runs; empty if there is none."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


if __name__ == "__main__":
    unittest.main()
