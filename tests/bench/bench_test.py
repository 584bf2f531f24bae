#!/usr/bin/env python3
"""What bench.py makes of measurements: ratios, bars, tables, leftovers of processes."""

import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from splicebench import report
from splicebench.bars import judge
from splicebench.contenders import IN_PROCESS, OURS_COLD, PEER
from splicebench.measure import Measurement, our_failures, rotated
from splicebench.processes import Orphans, run
from splicebench.project import ProjectResult, write_modules


def measurement(contender, wait_ms, wall_ms, way="vanilla", module="L", failure=""):
    metered = [{"wait_ns": wait_ms * 1e6 + spread, "turns": 215, "bytes_to_interpreter": 15820,
                "bytes_from_interpreter": 7229, "median_turn_ns": 27000}
               for spread in (-1e6, 0, 9e6)] if wait_ms is not None else []
    walls = [wall_ms / 1e3] * 3 if wall_ms is not None else []
    return Measurement("9.0.2", way, module, contender, walls, metered, failure)


class BarsTest(unittest.TestCase):
    def test_medians_are_compared(self):
        verdicts = judge([measurement(PEER, 400, 1000), measurement(OURS_COLD, 200, 900)])
        self.assertEqual([v.met for v in verdicts], [True, True])
        self.assertAlmostEqual(verdicts[0].measured, 0.5)
        self.assertAlmostEqual(verdicts[1].measured, 0.9)

    def test_the_dynamic_way_has_its_own_limit(self):
        for way, met in (("vanilla", False), ("profiling", False), ("dynamic", True)):
            verdicts = judge([measurement(PEER, 100, 100, way),
                              measurement(OURS_COLD, 80, 90, way)])
            self.assertEqual(verdicts[0].met, met, way)

    def test_only_lens_has_a_bar_for_the_wait(self):
        verdicts = judge([measurement(PEER, 10, 100, module="T"),
                          measurement(OURS_COLD, 90, 101, module="T")])
        self.assertEqual([v.met for v in verdicts], [False])

    def test_a_failure_of_ours_misses_the_bars(self):
        failed = measurement(OURS_COLD, None, None, failure="boom")
        verdicts = judge([measurement(PEER, 400, 1000), failed])
        self.assertEqual([v.met for v in verdicts], [False, False])
        self.assertEqual(our_failures([measurement(PEER, 400, 1000), failed]), [failed])

    def test_without_a_peer_there_is_nothing_to_judge(self):
        self.assertEqual(judge([measurement(OURS_COLD, 200, 900)]), [])


class ReportTest(unittest.TestCase):
    MEASUREMENTS = [measurement(PEER, 400, 1000), measurement(OURS_COLD, 200, 900),
                    measurement(IN_PROCESS, None, 500), measurement(PEER, 9, 90, module="Y"),
                    measurement(OURS_COLD, None, None, module="Y", failure="Y.hs:1: boom")]
    PROJECTS = [ProjectResult("9.0.2", "profiling", PEER, 60, 2, [40.0], [70.0]),
                ProjectResult("9.0.2", "profiling", OURS_COLD, 60, 2, [30.0], [50.0])]

    def test_text(self):
        text = report.as_text(self.MEASUREMENTS, self.PROJECTS)
        self.assertRegex(text, r"L +splicehost, cold +200 +0\.50 +215 +27 +15820 / 7229 +900 +0\.9")
        self.assertRegex(text, r"L +in-process +– +– +– +– +– +500 +0\.50")
        self.assertRegex(text, r"profiling +splicehost, cold +30\.0 +0\.75 +50\.0")
        self.assertIn("Y.hs:1: boom", text)

    def test_markdown(self):
        text = report.as_markdown(self.MEASUREMENTS, self.PROJECTS, judge(self.MEASUREMENTS),
                                  [("CPU", "abacus")], 5)
        self.assertIn("| CPU | abacus |", text)
        self.assertIn("| L | splicehost, cold | 200 | 0.50 |", text)
        self.assertIn("| **missed** |", text)
        rows = [line for line in text.splitlines() if line.startswith("| L |")]
        self.assertEqual({row.count("|") for row in rows}, {10})


class ProcessesTest(unittest.TestCase):
    def test_leftovers_are_waited_for_and_services_left_alone(self):
        orphans = Orphans()
        orphans.PATIENCE = 0.5
        with tempfile.TemporaryDirectory() as directory:
            left = Path(directory) / "left"
            command = f"(sleep 0.3; touch {left}) & sleep 30 & echo $!"
            finished = run(["sh", "-c", command], Path(directory), dict(os.environ))
            self.assertLess(finished.wall, 0.3)
            orphans.settle()
            self.assertTrue(left.exists())
            service = int(finished.output)
            os.kill(service, 0)
            started = time.monotonic()
            orphans.settle()
            self.assertLess(time.monotonic() - started, 0.3)
            os.kill(service, 15)
            os.waitpid(service, 0)

    def test_every_contender_begins_a_round(self):
        self.assertEqual([rotated("abc", n) for n in range(4)], ["abc", "bca", "cab", "abc"])


class ProjectTest(unittest.TestCase):
    def test_modules_differ(self):
        with tempfile.TemporaryDirectory() as directory:
            sources = write_modules(Path(directory), 60)
            self.assertEqual(len({source.read_text() for source in sources}), 60)


class CommandLineTest(unittest.TestCase):
    def test_unknown_names_are_refused(self):
        bench = Path(__file__).with_name("bench.py")
        ran = subprocess.run([bench, "--modules", "T,Q"], text=True, capture_output=True,
                             check=False)
        self.assertEqual(ran.returncode, 2)
        self.assertIn("Q: not one of T, L, J, Y", ran.stderr)


if __name__ == "__main__":
    unittest.main()
