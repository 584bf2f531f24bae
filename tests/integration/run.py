#!/usr/bin/env python3
"""Runs the integration tests, several at a time, and says how each went.

  SPLICEHOST_ISERV=build/ghc-9.0.2/iserv tests/integration/run.py [options] [text ...]

With --share the interpreters are those of a broker; only tests that know no difference run then.
With --short, for further GHCs: tests of faults, of other machines and of what sharing does not let through run in the
vanilla way only, and those of what no GHC makes different not at all.
With texts, only tests whose name contains one of them run. What fails is run once more, alone: if it passes then, it is
unsteady, which is said at the end with how it failed, and is no failure unless there are many such. The last line counts
passed, failed and skipped tests; the exit status is 0 if something passed and nothing failed.
"""

import argparse
import concurrent.futures
import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SHARING_MAKES_NO_DIFFERENCE = ("test_c_code.", "test_failures.", "test_ghci.", "test_identical.", "test_input.",
                               "test_interactive.", "test_output.", "test_scale.")

ONE_WAY_IS_ENOUGH = ("test_c_code.", "test_denied.", "test_ends.", "test_kill.", "test_mutated_streams.",
                     "test_remote.", "test_sharing_brokers.", "test_sharing_client.",
                     "test_sharing_confinement.", "test_sharing_content.", "test_sharing_faults.",
                     "test_sharing_file_systems.", "test_sharing_isolation.",
                     "test_sharing_packets.", "test_sharing_records.", "test_sharing_soak.", "test_sharing_swaps.",
                     "test_sharing_terminal.", "test_sharing_torture.",
                     "test_scale.", "test_sharing_ghci.", "test_home_units.",
                     "test_identical.IdenticalProducts.test_make_")

# Matters of files, processes, connections and packets, which no GHC makes different; the last two build projects again
# and again.
NO_GHC_MAKES_A_DIFFERENCE = ("test_control.CommandLine.", "test_control.Config.", "test_control.Log.", "test_denied.",
                             "test_mutated_streams.", "test_remote.Faults.", "test_remote.Greeting.",
                             "test_remote.Strangers.", "test_remote.Tcp.", "test_sharing_brokers.",
                             "test_sharing_confinement.", "test_sharing_content.WithinOneTick.",
                             "test_sharing_file_systems.", "test_sharing_packets.", "test_sharing_security.",
                             "test_sharing_swaps.", "test_sharing_faults.Kills.test_kill_",
                             "test_sharing_faults.Stopped.test_zygotes_during")

# More than so many unsteady tests in one run are no accident of the machine's.
UNSTEADY_ALLOWED = 3

# Tests wait now and then.
JOBS = len(os.sched_getaffinity(0)) + 1

HERE = pathlib.Path(__file__).resolve().parent


class Outcome(unittest.TestResult):
    """Remembers how one test ended."""

    def describe(self):
        """('passed' or 'failed' or 'skipped', explanation)."""
        troubles = [text for _, text in self.failures + self.errors]
        if troubles:
            return "failed", "\n".join(troubles)
        if self.skipped:
            return "skipped", "; ".join(reason for _, reason in self.skipped)
        return ("passed", "") if self.testsRun else ("failed", "the test did not run")


def run_one(name):
    """Runs the test of the given name: (name, how it ended, explanation, seconds)."""
    # Shells let what they run in the background ignore interrupts; programs would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    started = time.monotonic()
    outcome = Outcome()
    unittest.defaultTestLoader.loadTestsFromName(name).run(outcome)
    return (name, *outcome.describe(), time.monotonic() - started)


def find_tests(texts):
    """The names of the tests to run; ends the program if a test file cannot be loaded."""
    loader = unittest.TestLoader()
    names = list(test_names(loader.discover(str(HERE))))
    if loader.errors:
        print("\n".join(loader.errors), f"0 passed, {len(loader.errors)} failed", sep="\n")
        sys.exit(1)
    return [name for name in names if not texts or any(text in name for text in texts)]


def is_long(name):
    """Whether --short leaves the test out."""
    return name.startswith(NO_GHC_MAKES_A_DIFFERENCE) or (
        name.startswith(ONE_WAY_IS_ENOUGH) and any(way in name for way in ("_profiling", "_dynamic")))


def test_names(suite):
    for member in suite:
        if isinstance(member, unittest.TestSuite):
            yield from test_names(member)
        else:
            yield member.id()


def have_own_mounts():
    """What a test mounts is not seen by tests beside it: what they load is looked at again whenever anything is mounted
    (linker/path_guard.h). Only root can; others cannot mount either."""
    new_mount_namespace, private_and_all_below = 0x20000, 1 << 18 | 1 << 14  # CLONE_NEWNS; MS_PRIVATE, MS_REC
    libc = ctypes.CDLL(None)
    if libc.unshare(new_mount_namespace) == 0:
        libc.mount(b"none", b"/", None, ctypes.c_ulong(private_and_all_below), None)


def describe(name, how, explanation, seconds):
    report = f"{how:7} {name} ({seconds:.1f} s)"
    return report + "\n" + indent(explanation) if explanation else report


def run_all(names, jobs, before=None):
    """Runs the tests, prints a line for each as it ends, and those that failed again at the end; returns how many
    ended in which way."""
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failed = {}
    with concurrent.futures.ProcessPoolExecutor(jobs, initializer=before) as pool:
        running = [pool.submit(run_one, name) for name in names]
        for done, future in enumerate(concurrent.futures.as_completed(running), 1):
            name, how, *rest = future.result()
            counts[how] += 1
            report = describe(name, how, *rest)
            if how == "failed":
                failed[name] = report
            print(f"[{done:{len(str(len(names)))}}/{len(names)}] {report}", flush=True)
    unsteady = find_unsteady(failed, before) if len(failed) <= UNSTEADY_ALLOWED else []
    counts["failed"] -= len(unsteady)
    counts["passed"] += len(unsteady)
    for name, report in failed.items():
        print("unsteady: passed when run again, alone; at first:" if name in unsteady else "", report, sep="\n")
    return counts


def find_unsteady(failed, before):
    """Those of the failed tests that pass now."""
    with concurrent.futures.ProcessPoolExecutor(1, initializer=before) as pool:
        again = list(pool.map(run_one, failed))
    for outcome in again:
        print("again: " + describe(*outcome), flush=True)
    return [name for name, how, *_ in again if how == "passed"]


@contextlib.contextmanager
def shared_runtime():
    """A directory for a broker, which is stopped at the end."""
    iservctl = pathlib.Path(os.environ["SPLICEHOST_ISERV"]).resolve().parents[1] / "iservctl"
    with tempfile.TemporaryDirectory(prefix="splicehost-test-") as directory:
        os.environ["SPLICEHOST_SHARED_RUNTIME"] = directory
        environment = dict(os.environ, XDG_RUNTIME_DIR=directory)
        try:
            yield
            subprocess.run([iservctl, "status"], env=environment, check=True)
        finally:
            subprocess.run([iservctl, "stop"], env=environment, check=True)


def indent(text):
    return "\n".join("    | " + line for line in text.rstrip().splitlines())


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("texts", nargs="*", metavar="text", help="part of a test's name")
    parser.add_argument("--ways", help="the ways to test (default: vanilla,profiling,dynamic)")
    parser.add_argument("--jobs", type=int, default=JOBS, help="tests to run at a time (default: %(default)s)")
    parser.add_argument("--share", action="store_true", help="use shared interpreters")
    parser.add_argument("--short", action="store_true", help="less, for further GHCs")
    parser.add_argument("--list", action="store_true", help="only list the tests")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    if arguments.ways:
        os.environ["SPLICEHOST_WAYS"] = arguments.ways
    if "SPLICEHOST_ISERV" in os.environ:
        # What tests start has other working directories.
        os.environ["SPLICEHOST_ISERV"] = os.path.abspath(os.environ["SPLICEHOST_ISERV"])
    sys.path.insert(0, str(HERE))
    names = find_tests(arguments.texts)
    if arguments.share:
        names = [name for name in names if name.startswith(SHARING_MAKES_NO_DIFFERENCE)]
    if arguments.short:
        names = [name for name in names if not is_long(name)]
    if arguments.list:
        print("\n".join(names))
        return 0
    started = time.monotonic()
    with (shared_runtime() if arguments.share else contextlib.nullcontext(),
          tempfile.TemporaryDirectory(prefix="splicehost-test-") as made):
        # Many tests start from the same packages: what takes a second to make is made once.
        os.environ["SPLICEHOST_MADE_PACKAGES"] = made
        counts = run_all(names, arguments.jobs, None if arguments.share else have_own_mounts)
    print(f"{time.monotonic() - started:.0f} s")
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")
    return 0 if counts["passed"] and not counts["failed"] else 1


if __name__ == "__main__":
    sys.exit(main())
