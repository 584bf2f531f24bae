"""Many sessions, one after the other and at once: the broker stays as small as it was.

SPLICEHOST_SOAK says how many sessions there are in a row, in all ways together (default 150); SPLICEHOST_CROWD how many
clients are there at once to be killed (default 40).
"""

import os
import pathlib
import random
import subprocess
import threading
import time
import unittest

import wire
from support import OURS, WAYS, expand, for_each, ghc_version
from test_sharing import SharingTest, descendants, pids

SOAK = int(os.environ.get("SPLICEHOST_SOAK", "150"))
AT_ONCE = 64
SPARES = 2
"""Forks that a zygote has ready, at the most; the broker has a socket for each."""
CROWD = int(os.environ.get("SPLICEHOST_CROWD", "40"))
SECONDS = 5
"""How long killed clients' sessions may take to end; it is a fraction of a second, which is printed."""

MEMORY_TOLERANCE = 256 << 10
"""Bytes by which a process's memory may differ though nothing is kept."""


class Client:
    """A front end, driven over GHC's pipes."""

    def __init__(self, workspace, way):
        requests, self.to_front_end = os.pipe()
        self.from_front_end, answers = os.pipe()
        self.process = workspace.start(OURS + way.suffix, answers, requests,
                                       pass_fds=(requests, answers), stderr=subprocess.PIPE)
        os.close(requests)
        os.close(answers)

    def load(self, file, way):
        """What GHC does first; a shared object is loaded in the dynamic way."""
        self.send(wire.INIT_LINKER)
        self.start_loading(file, way)
        if way.name != "dynamic":
            assert self.read(1) == b"\x01"
        elif ghc_version() < (9, 10):
            assert self.read(1) == b"\x00"
        else:
            assert self.read(9)[:1] == b"\x01"

    def start_loading(self, file, way):
        self.send(wire.load_dll(file) if way.name == "dynamic" else wire.load_obj(file) + wire.RESOLVE_OBJS)

    def start_splices(self):
        """From here on there is a session."""
        self.send(wire.START_TH)
        assert len(self.read(8)) == 8

    def send(self, data):
        os.write(self.to_front_end, data)

    def read(self, length):
        data = b""
        while len(data) < length and (piece := os.read(self.from_front_end, length - len(data))):
            data += piece
        return data

    def end(self, how):
        """Ends by GHC's last message, by hanging up, or by a kill: what the front end said."""
        if how == "shutdown":
            self.send(wire.SHUTDOWN)
            # As GHC does, which hangs up afterwards.
            self.process.wait(10)
        elif how == "kill":
            self.process.kill()
        os.close(self.to_front_end)
        with self.process.stderr as stderr:
            said = stderr.read().decode()
        os.close(self.from_front_end)
        self.process.wait(10)
        return said


class SoakTest(SharingTest):
    def make_library(self, way):
        """A file to load."""
        self.workspace.write("answer.c", "int answer(void) { return 42; }\n")
        # The name of a package's, so that it becomes part of a zygote at once.
        name = "libHSanswer-1.0-ghc9.0.2.so" if way.name == "dynamic" else "HSanswer-1.0.o"
        flags = ("-shared", "-fPIC") if way.name == "dynamic" else ("-c", "-fPIC")
        done = self.workspace.run("gcc", *flags, "answer.c", "-o", name)
        self.assertEqual(done.status, 0, done)
        return self.workspace.cwd / name

    def session(self, file, way, how="shutdown"):
        client = Client(self.workspace, way)
        client.load(file, way)
        client.start_splices()
        said = client.end(how)
        self.assertEqual(said, "", how)

    def zombies(self, broker):
        return [process for process in descendants(broker).values() if process.state == "Z"]


@expand
class InARow(SoakTest):
    @for_each(way=WAYS)
    def test(self, way):
        """From a third of the way to the end nothing grows, however the sessions end."""
        file = self.make_library(way)
        count = max(-(-SOAK // len(WAYS)), 15)
        for number in range(count):
            if number == count // 3:
                before = self.measure()
            self.session(file, way, ("shutdown", "shutdown", "hang-up", "shutdown", "kill")[number % 5])
        status = self.wait_for_no_session()
        self.assertEqual(status.attaches, count)
        # A zygote grows beside them.
        self.assertGreaterEqual(status.hits, min(0.9 * count, count - 4), status)
        # Spares take a moment to be made.
        self.wait_for(lambda: self.counts() == before[1:],
                      f"as many as before: {before}, {self.counts()}")
        self.assertLess(self.measure()[0], before[0] + MEMORY_TOLERANCE)
        self.wait_for(lambda: not self.zombies(status.pid), "no zombies")

    def measure(self):
        """When nothing is going on: the broker's memory, and what `counts` says."""
        self.wait_for_no_session()
        self.wait_until_grown()
        settled, since = self.counts(), time.monotonic()
        while time.monotonic() < since + 0.3:
            if self.counts() != settled:
                settled, since = self.counts(), time.monotonic()
            time.sleep(0.01)
        status = (pathlib.Path("/proc") / str(self.brokers()[0]) / "status").read_text()
        memory = int(status.split("VmRSS:")[1].split()[0]) * 1024
        return (memory, *settled)

    def counts(self):
        """File descriptors of the broker and of its zygotes, and the number of all its descendants."""
        broker = self.brokers()[0]
        open_files = {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in (broker, *pids(self.status()))}
        return open_files, len(descendants(broker))


@expand
class AtOnce(SoakTest):
    @for_each(way=WAYS)
    def test(self, way):
        """64 sessions live at the same time, twice; afterwards all is as before."""
        file = self.make_library(way)
        for _ in range(3):
            self.session(file, way)
            broker = self.wait_until_grown().pid
        for _ in range(2):
            before = self.wait_for_no_session()
            clients = [Client(self.workspace, way) for _ in range(AT_ONCE)]
            for client in clients:
                client.load(file, way)
            for client in clients:
                client.send(wire.START_TH)
            for client in clients:
                self.assertEqual(len(client.read(8)), 8)
            status = self.status()
            self.assertEqual(len(status.sessions), AT_ONCE)
            self.assertEqual(len({session.pid for session in status.sessions}), AT_ONCE)
            self.assertEqual(status.hits - before.hits, AT_ONCE)
            self.assertEqual([client.end("shutdown") for client in clients], [""] * AT_ONCE)
            after = self.wait_for_no_session()
            self.assertEqual(after.pid, broker)
            self.wait_for(lambda: not self.zombies(broker), "no zombies")
        self.wait_for(lambda: len(descendants(broker)) <= len(after.zygotes) * (1 + SPARES),
                      f"only zygotes and their spares are left of {descendants(broker)}")


@expand
class KilledAtRandom(SoakTest):
    """A crowd of clients, each somewhere in its life, and all killed."""

    @for_each(way=WAYS)
    def test(self, way):
        """Soon after the last one has been killed there is no session, and the broker is as it was."""
        file = self.make_library(way)
        endless = self.make_endless_library(way)
        for _ in range(3):
            self.session(file, way)
            before = self.wait_until_grown()
        descriptors = len(self.descriptors(before.pid)) + SPARES * len(before.zygotes)
        chance = random.Random(CROWD)
        for number in range(2):
            clients = [Client(self.workspace, way) for _ in range(CROWD)]
            for client in clients:
                self.addCleanup(client.process.kill)
            lives = [threading.Thread(target=self.live, args=(client, file, endless, way, number + position))
                     for position, client in enumerate(clients)]
            for life in lives:
                life.start()
            chance.shuffle(clients)
            time.sleep(CROWD / 100)
            if number == 0:
                # With hundreds of processes a broker may not have its turn while iservctl waits.
                self.wait_for(lambda: (status := self.status()) and len(status.sessions) >= CROWD / 2,
                              "half of them have sessions", 30 + CROWD / 5)
            for client in clients:
                client.process.kill()
                time.sleep(chance.random() / 100)
            killed = time.monotonic()
            self.wait_for(lambda: not self.interpreters(before), "no session is left", SECONDS)
            print(f"{way.name}: no session is left {time.monotonic() - killed:.2f} s after {CROWD} clients were killed")
            for life in lives:
                life.join()
            for client in clients:
                client.end("killed already")
        self.assertEqual(self.wait_for_no_session().pid, before.pid)
        self.session(file, way)
        self.wait_for(lambda: len(self.descriptors(before.pid)) <= descriptors,
                      lambda: f"no more descriptors than {descriptors}, {self.descriptors(before.pid)}")
        self.wait_for(lambda: not self.zombies(before.pid), "no zombies")

    def make_endless_library(self, way):
        """Loading it does not end."""
        self.workspace.write("endless.c", "int pause(void);\n"
                                          "__attribute__((constructor)) static void start(void) { for (;;) pause(); }\n")
        flags = ("-shared", "-fPIC", "-o", "libendless.so") if way.name == "dynamic" else ("-c", "-o", "endless.o")
        self.assertEqual(self.workspace.run("gcc", *flags, "endless.c").status, 0)
        return self.workspace.cwd / ("libendless.so" if way.name == "dynamic" else "endless.o")

    def live(self, client, file, endless, way, how):
        """Goes as far as it may, until it is killed."""
        try:
            if how % 5 == 0:
                return
            client.load(file, way)
            if how % 5 == 1:
                return
            client.start_splices()
            if how % 5 == 2:
                client.start_loading(endless, way)
        except (AssertionError, BrokenPipeError):
            pass

    def interpreters(self, before):
        """What is below the broker but its zygotes and their spares, if there is something."""
        status = self.status()
        if status.sessions or len(descendants(before.pid)) > len(status.zygotes) * (1 + SPARES):
            return status
        return None

    @staticmethod
    def descriptors(broker):
        return {number: os.readlink(f"/proc/{broker}/fd/{number}") for number in os.listdir(f"/proc/{broker}/fd")}


if __name__ == "__main__":
    unittest.main()
