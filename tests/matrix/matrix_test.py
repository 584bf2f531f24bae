#!/usr/bin/env python3
"""What cannot be installed or does not come to its end is never taken for a pass."""

import contextlib
import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

import suites
from suites import Outcome, Suite, summary

RUN = Path(__file__).resolve().parent / "run"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Says nothing."""


@contextlib.contextmanager
def mirror(folder):
    """An HTTP server for the files of a folder: its URL."""
    def handler(*arguments):
        return Quiet(*arguments, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class MatrixTest(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory(prefix="splicehost-test-")
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.roots = self.folder / "roots"
        self.roots.mkdir()

    def outcome(self, url, name="trixie"):
        """Of a suite whose root is not there."""
        suite = Suite(name, self.roots, url, True, ["unit"])
        with open(os.devnull, "w", encoding="utf-8") as nowhere, contextlib.redirect_stdout(nowhere):
            suite.install()
            return suite.check()

    def assert_not_installed(self, outcome, text):
        self.assertEqual((outcome.passed, outcome.failed), (0, 1), outcome)
        self.assertIn("NOT INSTALLED: ", outcome.trouble)
        self.assertIn(text, outcome.trouble)
        self.assertIn(outcome.trouble, summary([outcome]))
        self.assertEqual(summary([outcome]).splitlines()[-1], "0 passed, 1 failed")
        self.assertEqual([path.name for path in self.roots.iterdir() if path.is_dir()], [], "left behind")


class NotInstalled(MatrixTest):
    def test_a_mirror_that_refuses(self):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        self.assert_not_installed(self.outcome(f"http://127.0.0.1:{port}/debian"), "Connection refused")

    def test_a_mirror_that_does_not_answer(self):
        before = suites.MIRROR_SECONDS
        self.addCleanup(setattr, suites, "MIRROR_SECONDS", before)
        suites.MIRROR_SECONDS = 0.2
        with socket.create_server(("127.0.0.1", 0)) as silent:
            self.assert_not_installed(self.outcome(f"http://127.0.0.1:{silent.getsockname()[1]}/debian"), "timed out")

    def test_a_suite_that_is_not_there(self):
        with mirror(self.folder) as url:
            self.assert_not_installed(self.outcome(url, "nonesuch"), f"{url}/dists/nonesuch/InRelease: File not found")

    def test_a_root_that_cannot_be_made(self):
        """For lack of debootstrap, of permission, or, as here at the latest, of a mirror that has files."""
        release = self.folder / "dists" / "trixie" / "InRelease"
        release.parent.mkdir(parents=True)
        release.write_text("not signed\n")
        with mirror(self.folder) as url:
            outcome = self.outcome(url)
        self.assert_not_installed(outcome, "failed: ")

    def test_a_root_that_is_old(self):
        """What was installed once does not pass for what is to be installed today."""
        root = self.roots / "trixie"
        root.mkdir()
        with mirror(self.folder) as url:
            outcome = self.outcome(url)
        root.rmdir()
        self.assert_not_installed(outcome, "File not found")


class Results(unittest.TestCase):
    def outcome(self, status, *lines):
        outcome = Outcome("trixie")
        outcome.add_results(status, list(lines))
        return outcome.passed, outcome.failed, outcome.skipped

    def test_are_those_of_the_last_line(self):
        self.assertEqual(self.outcome(1, "5 passed, 0 failed", "700 passed, 2 failed, 3 skipped"), (700, 2, 3))

    def test_of_an_end_before_the_last_line(self):
        self.assertEqual(self.outcome(0, "5 passed, 0 failed", "Segmentation fault"), (0, 1, 0))
        self.assertEqual(self.outcome(0), (0, 1, 0))

    def test_of_a_failure_without_a_failed_test(self):
        self.assertEqual(self.outcome(2, "5 passed, 0 failed"), (5, 1, 0))

    def test_of_nothing(self):
        self.assertEqual(self.outcome(0, "0 passed, 0 failed"), (0, 1, 0))

    def test_of_what_failed_are_said_again_with_the_summary(self):
        outcome = Outcome("trixie")
        outcome.add_results(1, ["passed one", "== The end of unit.log, after 1:00 minutes", "failed this",
                                "7 passed, 1 failed"])
        self.assertEqual(summary([Outcome("testing", passed=3), outcome]).splitlines()[:3],
                         ["==== trixie", "== The end of unit.log, after 1:00 minutes", "failed this"])

    def test_of_a_command_that_hangs(self):
        started = time.monotonic()
        status, lines = suites.run(["sleep", "100"], [], 0.2)
        self.assertLess(time.monotonic() - started, 10)
        self.assertEqual(status, -signal.SIGKILL)
        self.assertIn("no end within 0.2 s", lines[-1])


class CommandLine(MatrixTest):
    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("debootstrap"), "needs root and debootstrap")
    def test_fails_if_a_suite_does(self):
        done = subprocess.run([RUN, "--roots", self.roots, "--mirror", "http://127.0.0.1:9/", "trixie"],
                              check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done)
        self.assertEqual(done.stdout.splitlines()[-1], "0 passed, 1 failed", done)

    @unittest.skipIf(os.geteuid() == 0, "root may")
    def test_needs_root(self):
        done = subprocess.run([RUN, "--roots", self.roots, "trixie"], check=False, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done)
        self.assertIn("needs root", done.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main())
