#!/usr/bin/env python3
"""The meter must be invisible to GHC and to the interpreter, and must count right.

Usage: meter_test.py METER

Each test starts the meter as GHC would, with a small Python program as the interpreter.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

METER = None

# The start of every fake interpreter: `answers` and `requests` are its ends of the pipes.
PRELUDE = f"""#!{sys.executable}
import os, signal, sys, time
answers, requests = int(sys.argv[1]), int(sys.argv[2])
"""


def string(text):
    """As GHC sends it."""
    return len(text).to_bytes(8, "big") + text.encode()


class MeteredInterpreter:
    """A meter and the fake interpreter behind it, seen from GHC's side."""

    def __init__(self, program, suffix="", options=(), popen_options=None, ghc="9.0.2"):
        self.directory = tempfile.TemporaryDirectory(prefix="splicehost-meter-")
        directory = Path(self.directory.name)
        self.results = directory / "results"
        target = directory / ("interpreter" + suffix)
        target.write_text(PRELUDE + program)
        target.chmod(0o755)
        meter = directory / ("meter" + suffix)
        meter.symlink_to(METER)
        self.answers, meter_answers = os.pipe()
        meter_requests, self.requests = os.pipe()
        self.process = subprocess.Popen(
            [meter, str(meter_answers), str(meter_requests), *options],
            pass_fds=(meter_answers, meter_requests),
            env={**os.environ,
                 "SPLICEHOST_METER_TARGET": str(directory / "interpreter"),
                 "SPLICEHOST_METER_OUT": str(self.results),
                 "SPLICEHOST_METER_GHC": ghc},
            **(popen_options or {}))
        os.close(meter_answers)
        os.close(meter_requests)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.answers)
        self.hang_up()
        self.process.wait(timeout=10)
        self.directory.cleanup()

    def hang_up(self):
        if self.requests is not None:
            os.close(self.requests)
            self.requests = None

    def send(self, data):
        while data:
            data = data[os.write(self.requests, data):]

    def receive(self, count):
        data = b""
        while len(data) < count:
            more = os.read(self.answers, count - len(data))
            if not more:
                break
            data += more
        return data

    def wait(self):
        return self.process.wait(timeout=10)

    def result(self):
        lines = self.results.read_text().splitlines()
        assert len(lines) == 1, lines
        return json.loads(lines[0])


class MeterTest(unittest.TestCase):
    def test_counts_turns_bytes_and_wait(self):
        echo = """
for pause in (0.05, 0.1):
    request = os.read(requests, 100)
    time.sleep(pause)
    os.write(answers, request * 2)
"""
        with MeteredInterpreter(echo) as metered:
            for _ in range(2):
                metered.send(b"abc")
                self.assertEqual(metered.receive(6), b"abcabc")
                time.sleep(0.2)  # GHC's own time: not the interpreter's
            self.assertEqual(metered.wait(), 0)
            result = metered.result()
        self.assertEqual(result["turns"], 2)
        self.assertEqual(result["bytes_to_interpreter"], 6)
        self.assertEqual(result["bytes_from_interpreter"], 12)
        # At least the pauses; the upper limit leaves room for a slow start, not for GHC's time.
        self.assertGreater(result["wait_ns"], 145e6)
        self.assertLess(result["wait_ns"] - result["first_turn_ns"], 190e6)
        self.assertGreater(result["longest_turn_ns"], 95e6)

    # A dialogue as GHC 9.0.2 has it: what it sends and what it is answered. Not all is answered.
    DIALOGUE = [
        (bytes([8]) + string("/lib"), bytes(8)),  # AddLibrarySearchPath
        (bytes([1]), b""),                        # InitLinker
        (bytes([5]) + string("/a.a"), b""),       # LoadArchive
        (bytes([10]), bytes([1])),                # ResolveObjs
        (bytes([4]) + string("/a.so"), bytes(1)),  # LoadDLL
        (bytes([10]), bytes([1])),
        # RunTH, answered by StartRecover, which GHC does not answer, and IsExtEnabled.
        (bytes([34]) + bytes(16) + bytes([0, 0]), bytes([15, 13, 3])),
        # What GHC answers looks like ResolveObjs. EndRecover, RunTHDone and QDone follow.
        (bytes([10]), bytes([16, 0, 18, 0]) + string("expression")),
        (bytes([2]) + string("symbol"), bytes(1)),  # LookupSymbol
    ]

    def test_kinds_of_turns(self):
        answering = f"""
for request, answer in {self.DIALOGUE!r}:
    while request:
        request = request[len(os.read(requests, len(request))):]
    os.write(answers, answer)
"""
        with MeteredInterpreter(answering) as metered:
            for request, answer in self.DIALOGUE:
                metered.send(request)
                self.assertEqual(metered.receive(len(answer)), answer)
            metered.wait()
            result = metered.result()
        self.assertEqual({kind: len(times) for kind, times in result["turns_ns"].items()},
                         {"addLibrarySearchPath": 1, "resolveObjs": 2, "loadDll": 1, "runTh": 1,
                          "thAnswer": 1, "lookupSymbol": 1})
        self.assertEqual(sum(sum(times) for times in result["turns_ns"].values()), result["wait_ns"])

    def test_messages_of_an_unknown_ghc(self):
        echo = "os.write(answers, os.read(requests, 9))"
        for ghc, request in (("7.0", bytes([10])), ("9.0.2", b"\xff no message")):
            with MeteredInterpreter(echo, ghc=ghc) as metered:
                metered.send(request)
                metered.receive(1)
                metered.wait()
                self.assertEqual(list(metered.result()["turns_ns"]), ["unknown"])

    def test_round_trip(self):
        program = Path(METER).resolve().with_name("round_trip")
        printed = subprocess.run([program, "50"], check=True, stdout=subprocess.PIPE).stdout
        self.assertTrue(all(int(median) > 0 for median in printed.split()))
        self.assertEqual(len(printed.split()), 2)

    def test_a_slow_start_counts(self):
        slow = "time.sleep(0.3)\nos.write(answers, os.read(requests, 9))"
        with MeteredInterpreter(slow) as metered:
            metered.send(b"x")
            self.assertEqual(metered.receive(1), b"x")
            metered.wait()
            self.assertGreater(metered.result()["first_turn_ns"], 290e6)

    def test_bytes_that_nobody_asked_for_are_no_turn(self):
        with MeteredInterpreter("os.write(answers, b'hello')") as metered:
            self.assertEqual(metered.receive(5), b"hello")
            metered.wait()
            self.assertEqual(metered.result()["turns"], 0)

    def test_large_streams_both_ways_at_once(self):
        flood = """
if os.fork() == 0:
    count = 0
    while count < 5000000:
        count += len(os.read(requests, 65536))
    os._exit(0)
for _ in range(5000):
    os.write(answers, b'y' * 1000)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
        with MeteredInterpreter(flood) as metered:
            reader = os.fork()
            if reader == 0:
                os._exit(0 if metered.receive(5000000) == b"y" * 5000000 else 1)
            metered.send(b"x" * 5000000)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(reader, 0)[1]), 0)
            self.assertEqual(metered.wait(), 0)
            self.assertEqual(metered.result()["bytes_to_interpreter"], 5000000)

    def test_exit_status(self):
        with MeteredInterpreter("sys.exit(42)") as metered:
            self.assertEqual(metered.wait(), 42)

    def test_death_by_signal(self):
        for number in (signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT):
            with MeteredInterpreter(f"os.kill(os.getpid(), {int(number)})") as metered:
                self.assertEqual(metered.receive(1), b"")
                self.assertEqual(metered.wait(), -number)

    def test_the_last_answer_arrives_before_the_end(self):
        with MeteredInterpreter("os.write(answers, b'z' * 200000); sys.exit(3)") as metered:
            self.assertEqual(len(metered.receive(200001)), 200000)
            self.assertEqual(metered.wait(), 3)

    def test_end_of_requests_reaches_the_interpreter(self):
        with MeteredInterpreter("sys.exit(7 if os.read(requests, 1) == b'' else 1)") as metered:
            metered.hang_up()
            self.assertEqual(metered.wait(), 7)

    def test_end_of_answers_reaches_ghc(self):
        closing = "os.close(answers)\nos.read(requests, 1)\nsys.exit(5)"
        with MeteredInterpreter(closing) as metered:
            self.assertEqual(metered.receive(1), b"")
            self.assertIsNone(metered.process.poll())
            metered.hang_up()
            self.assertEqual(metered.wait(), 5)

    def test_answers_that_nobody_reads_break_the_pipe(self):
        writing = """
os.read(requests, 1)
try:
    while True: os.write(answers, b'x' * 1000)
except BrokenPipeError:
    sys.exit(6)
"""
        with MeteredInterpreter(writing) as metered:
            unread, metered.answers = metered.answers, os.open(os.devnull, os.O_RDONLY)
            os.close(unread)
            metered.send(b"x")
            self.assertEqual(metered.wait(), 6)

    def test_a_grandchild_that_keeps_the_pipe_open_holds_nothing_up(self):
        lingering = """
if os.fork() == 0:
    os.close(1)
    time.sleep(3)
    os._exit(0)
sys.exit(8)
"""
        with MeteredInterpreter(lingering) as metered:
            started = time.monotonic()
            self.assertEqual(metered.wait(), 8)
            self.assertLess(time.monotonic() - started, 2)

    def test_signals_reach_the_interpreter_once(self):
        counting = """
received = 0
def handler(*_):
    global received
    received += 1
signal.signal(signal.SIGINT, handler)
os.write(answers, b'ready')
time.sleep(0.5)
sys.exit(received)
"""
        with MeteredInterpreter(counting) as metered:
            metered.receive(5)
            metered.process.send_signal(signal.SIGINT)
            self.assertEqual(metered.wait(), 1)

    def test_signal_mask_and_dispositions_are_inherited(self):
        asking = """
usual = not signal.pthread_sigmask(signal.SIG_BLOCK, [])
with open('/proc/self/status') as status:
    ignored = [int(line.split()[1], 16) for line in status if line.startswith('SigIgn')][0]
os.write(answers, b'%d' % (usual and not ignored >> (signal.SIGINT - 1) & 1))
"""
        with MeteredInterpreter(asking) as metered:
            self.assertEqual(metered.receive(1), b"1")

    def test_way_suffix_and_options_are_passed_on(self):
        naming = """
name = os.path.basename(sys.argv[0])
os.write(answers, (name + ' '.join(sys.argv[3:])).encode())
"""
        for suffix in ("", "-prof", "-dyn"):
            with MeteredInterpreter(naming, suffix, ["+RTS", "-p"]) as metered:
                expected = f"interpreter{suffix}+RTS -p".encode()
                self.assertEqual(metered.receive(len(expected)), expected)
                metered.wait()
                self.assertEqual(metered.result()["way"], suffix)

    def test_death_of_the_meter_ends_the_requests(self):
        with MeteredInterpreter("os.write(answers, b'up')\nos.read(requests, 1)") as metered:
            metered.receive(2)
            metered.process.kill()
            self.assertEqual(metered.receive(1), b"")  # the interpreter held the other end

    def test_misuse_is_explained(self):
        ran = subprocess.run([METER], capture_output=True, text=True, check=False)
        self.assertEqual(ran.returncode, 2)
        self.assertIn("usage: meter", ran.stderr)


if __name__ == "__main__":
    METER = os.path.abspath(sys.argv.pop(1))
    unittest.main()
