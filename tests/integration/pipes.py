"""Drives an interpreter over two pipes, as GHC does, but with any bytes."""

import ctypes
import os
import subprocess
import threading
import time

from support import Finished

ADDR_NO_RANDOMIZE = 0x0040000
"""personality(2): load programs and libraries at the same addresses each time."""


class Driven:
    """An interpreter under the hand of a test: bytes go in, answers are collected."""

    def __init__(self, workspace, program, *options):
        requests, self._to_program = os.pipe()
        self._from_program, answers = os.pipe()
        self._command = (program, str(answers), str(requests), *options)
        self._started = time.monotonic()
        self.process = workspace.start(*self._command, pass_fds=(requests, answers),
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       preexec_fn=fix_addresses)
        os.close(requests)
        os.close(answers)
        self.answers = b""
        self.peak_memory = None
        self.texts = [b"", b""]
        self._readers = [threading.Thread(target=self._read_answers)]
        self._readers += [threading.Thread(target=self._read_text, args=(index, file))
                          for index, file in enumerate((self.process.stdout, self.process.stderr))]
        for reader in self._readers:
            reader.start()

    def send(self, data):
        """Writes a request; False if the interpreter has hung up."""
        try:
            while data:
                data = data[os.write(self._to_program, data):]
            return True
        except BrokenPipeError:
            return False

    def wait_until_quiet(self, length, seconds):
        """Waits for this many bytes of answers, but not longer than the given time without any."""
        known, since = -1, time.monotonic()
        while len(self.answers) < length and self._readers[0].is_alive():
            if len(self.answers) > known:
                known, since = len(self.answers), time.monotonic()
            if time.monotonic() > since + seconds:
                return
            time.sleep(0.002)

    def hang_up(self):
        if self._to_program is not None:
            os.close(self._to_program)
            self._to_program = None

    def wait_for_end(self, seconds=5):
        """Waits until the program has ended: what it wrote, and how it ended.

        Raises subprocess.TimeoutExpired, after killing it, if it does not end in time.
        """
        try:
            self._wait(seconds)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.hang_up()
            self._collect()
        texts = [text.decode(errors="replace") for text in self.texts]
        return Finished(self._command, self.process.returncode, *texts,
                        time.monotonic() - self._started)

    def _wait(self, seconds):
        """Waits for the process, and learns how much memory it and its children took."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            pid, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                self.peak_memory = usage.ru_maxrss * 1024
                return
            time.sleep(0.002)
        raise subprocess.TimeoutExpired(self._command, seconds)

    def _collect(self):
        for reader in self._readers:
            reader.join(5)
        self.process.stdout.close()
        self.process.stderr.close()
        os.close(self._from_program)

    def _read_answers(self):
        while data := os.read(self._from_program, 65536):
            self.answers += data

    def _read_text(self, index, file):
        while data := os.read(file.fileno(), 65536):
            self.texts[index] += data


def fix_addresses():
    """Makes addresses in recorded traffic true in the next run as well."""
    ctypes.CDLL(None).personality(ADDR_NO_RANDOMIZE)
