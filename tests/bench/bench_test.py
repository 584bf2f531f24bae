#!/usr/bin/env python3
"""What bench.py makes of measurements: ratios, bars, tables, leftovers of processes."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from splicebench import report
from splicebench.bars import judge, judge_memory, judge_projects, judge_scale
from splicebench.broker import Broker
from splicebench.contenders import IN_PROCESS, OURS_COLD, OURS_REMOTE, OURS_WARM, PEER, Contender
from splicebench.measure import LOADS, Measurement, our_failures, rotated
from splicebench.memory import MemoryResult
from splicebench.processes import Orphans, descendants, proportional_bytes, run
from splicebench.packages import Package, application, at_arrows, in_order
from splicebench.project import ProjectResult, write_modules
from splicebench.scale import ScaleResult


TURNS = {"resolveObjs": [19000, 21000, 23000], "addLibrarySearchPath": [9000, 11000],
         "runTh": [900000]}


def measurement(contender, wait_ms, wall_ms, way="vanilla", module="L", failure="", ghc="9.0.2"):
    metered = [{"wait_ns": wait_ms * 1e6 + spread, "turns": 215, "bytes_to_interpreter": 15820,
                "bytes_from_interpreter": 7229, "median_turn_ns": 27000, "turns_ns": TURNS,
                "pipe_ns": 12000, "pipe_one_cpu_ns": 4000}
               for spread in (-1e6, 0, 9e6)] if wait_ms is not None else []
    walls = [wall_ms / 1e3] * 3 if wall_ms is not None else []
    return Measurement(ghc, way, module, contender, walls, metered, failure)


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

    def test_a_ghc_whose_own_interpreter_is_slow_has_stricter_ones(self):
        verdicts = judge([measurement(PEER, 1000, 2000, module="T", ghc="9.10.3"),
                          measurement(OURS_COLD, 101, 1000, module="T", ghc="9.10.3"),
                          measurement(PEER, 1000, 2000, ghc="9.10.3"),
                          measurement(OURS_WARM, 11, 1000, ghc="9.10.3")])
        self.assertEqual([(v.limit, v.met) for v in verdicts if "wait" in v.what],
                         [(0.1, False), (0.01, False)])

    def test_a_failure_of_ours_misses_the_bars(self):
        failed = measurement(OURS_COLD, None, None, failure="boom")
        verdicts = judge([measurement(PEER, 400, 1000), failed])
        self.assertEqual([v.met for v in verdicts], [False, False])
        self.assertEqual(our_failures([measurement(PEER, 400, 1000), failed]), [failed])

    def test_without_a_peer_there_is_nothing_to_judge(self):
        self.assertEqual(judge([measurement(OURS_COLD, 200, 900)]), [])

    def test_with_sharing(self):
        verdicts = judge([measurement(PEER, 400, 1000), measurement(OURS_WARM, 15, 480),
                          measurement(IN_PROCESS, None, 500)], quiet_machine=True)
        self.assertEqual([(round(v.measured, 4), v.unit, v.met) for v in verdicts],
                         [(0.0375, "of ghc-iserv's", True), (15.0, "ms", True),
                          (0.96, "of in-process's", True), (21.0, "µs", True)])
        verdicts = judge([measurement(PEER, 400, 1000), measurement(OURS_WARM, 25, 510),
                          measurement(IN_PROCESS, None, 500)])
        self.assertEqual([v.met for v in verdicts], [False, False, True])

    def test_what_is_remote_is_compared_with_what_is_here(self):
        for wait, met in ((14, True), (16, False)):
            verdicts = judge([measurement(OURS_WARM, 10, 480), measurement(OURS_REMOTE, wait, 490)])
            self.assertEqual([v.met for v in verdicts], [met])

    def test_memory_of_the_session_that_adds_most(self):
        ours = MemoryResult("9.0.2", "vanilla", OURS_WARM, [200e6, 220e6, 225e6, 238e6])
        self.assertEqual(ours.first, 20e6)
        self.assertEqual([v.measured for v in judge_memory([ours])], [13.0])
        self.assertFalse(judge_memory([ours])[0].met)
        ours.failure = "boom"
        self.assertIsNone(judge_memory([ours])[0].measured)

    def test_quadratic_linking_is_noticed(self):
        def waits(*seconds):
            return [ScaleResult("9.10.3", "vanilla", OURS_COLD, packages, packages, packages, [wait])
                    for packages, wait in zip((100, 300), seconds)]
        self.assertEqual([(v.measured, v.met) for v in judge_scale(waits(1, 3))], [(1.0, True)])
        self.assertEqual([(v.measured, v.met) for v in judge_scale(waits(1, 9))], [(3.0, False)])

    def test_projects(self):
        self.assertEqual([(v.measured, v.met) for v in judge_projects(PROJECTS)], [(0.375, True)])


PROJECTS = [ProjectResult("9.0.2", "profiling", PEER, 60, 2, [40.0], [70.0]),
            ProjectResult("9.0.2", "profiling", OURS_COLD, 60, 2, [30.0], [50.0]),
            ProjectResult("9.0.2", "profiling", OURS_WARM, 60, 2, [15.0], [25.0])]


class ReportTest(unittest.TestCase):
    MEASUREMENTS = [measurement(PEER, 400, 1000), measurement(OURS_COLD, 200, 900),
                    measurement(OURS_WARM, 10, 480), measurement(IN_PROCESS, None, 500),
                    measurement(PEER, 9, 90, module="Y"),
                    measurement(OURS_COLD, None, None, module="Y", failure="Y.hs:1: boom")]
    RESULTS = report.Results(
        MEASUREMENTS, [MemoryResult("9.0.2", "vanilla", OURS_WARM, [200e6, 220e6, 225e6, 232e6])],
        PROJECTS)

    def test_text(self):
        text = report.as_text(self.RESULTS)
        self.assertRegex(text, r"L +splicehost, cold +200\.0 +0\.500 +215 +27 +15820 / 7229 +900 "
                               r"+0\.90 +1\.80")
        self.assertRegex(text, r"L +in-process +– +– +– +– +– +500 +0\.50 +1\.00")
        self.assertRegex(text, r"vanilla +L +splicehost, warm +21 +10 +20 +12 +4\n")
        self.assertRegex(text, r"vanilla +runTh +1 +0\.90 +0\.09 +900\n")
        self.assertRegex(text, r"vanilla +splicehost, warm +200\.0 +20\.0 +5\.0, 7\.0\n")
        self.assertRegex(text, r"profiling +splicehost, shared +15\.0 +0\.38 +25\.0")
        self.assertIn("Y.hs:1: boom", text)

    def test_markdown(self):
        verdicts = judge(self.MEASUREMENTS)
        text = report.as_markdown(self.RESULTS, verdicts, [("CPU", "abacus"), ("system", "Beads")], 5)
        self.assertIn("| CPU | abacus |", text)
        self.assertIn("| L | splicehost, cold | 200.0 | 0.500 |", text)
        self.assertIn("| **missed** |", text)
        for table in text.split("\n\n"):
            lines = [line for line in table.splitlines() if line.startswith("|")]
            self.assertLessEqual(len({line.count("|") for line in lines}), 1, table)

    def test_what_is_not_measured_stays(self):
        """A document is kept up by runs with one GHC, or of one part."""
        first = report.as_markdown(self.RESULTS, judge(self.MEASUREMENTS), [("system", "Abacus 1")], 5)
        scale = [ScaleResult("9.10.3", "vanilla", OURS_COLD, packages, packages, packages * 10**6,
                             [packages / 100], 10**8, 10**8, 10**8) for packages in (100, 300)]
        second = report.as_markdown(report.Results(scale=scale), judge_scale(scale),
                                    [("system", "Abacus 2")], 3, first)
        self.assertIn("| L | splicehost, cold | 200.0 | 0.500 |", second)
        self.assertIn("| vanilla | splicehost, cold | 300 | 300 | 300 | 3000 | – | 10.00 |", second)
        self.assertIn("Abacus 1", second)
        self.assertIn("Abacus 2", second)
        self.assertEqual(second.count("## Bars"), 1)
        bars = second.partition("## Bars")[2]
        for bar in ("GHC 9.0.2 vanilla L: cold interpreter wait", "GHC 9.10.3 vanilla: a megabyte"):
            self.assertEqual(bars.count(bar), 1, bars)
        self.assertLess(second.index("## GHC 9.0.2"), second.index("## GHC 9.10.3"))
        again = report.as_markdown(report.Results(scale=scale), judge_scale(scale),
                                   [("system", "Abacus 2")], 3, second)
        self.assertEqual(again, second)

    def test_json(self):
        self.assertEqual(set(self.RESULTS.as_json()), {"measurements", "memory", "projects", "scale"})

    def test_turns_of_some_kinds(self):
        self.assertEqual(self.MEASUREMENTS[0].turn_median(LOADS), 21e-6)
        self.assertIsNone(self.MEASUREMENTS[0].turn_median(["seq"]))
        self.assertEqual(self.MEASUREMENTS[0].typical_run()["wait_ns"], 400e6)


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


class ProcessesTest(unittest.TestCase):
    def test_leftovers_are_waited_for_and_services_left_alone(self):
        orphans = Orphans()
        orphans.PATIENCE = 3
        with tempfile.TemporaryDirectory() as directory:
            left = Path(directory) / "left"
            command = f"(sleep 1.5; touch {left}) & sleep 30 & echo $!"
            finished = run(["sh", "-c", command], Path(directory), dict(os.environ))
            self.assertLess(finished.wall, 1.5)
            orphans.settle()
            self.assertTrue(left.exists())
            service = int(finished.output)
            os.kill(service, 0)
            started = time.monotonic()
            orphans.settle()
            self.assertLess(time.monotonic() - started, 2)
            os.kill(service, 15)
            os.waitpid(service, 0)

    def test_a_broker_is_not_waited_for_until_it_is_stopped(self):
        orphans = Orphans()
        with tempfile.TemporaryDirectory() as directory:
            program = Path(directory) / "iservd"
            shutil.copy(shutil.which("sleep"), program)
            control = Path(directory) / "iservctl"
            control.write_text('#!/bin/sh\n[ "$1" = status ] && cat "$XDG_RUNTIME_DIR/status" || '
                               'kill "$(cat "$XDG_RUNTIME_DIR/pid")"\n')
            control.chmod(0o755)
            with Broker(Path(directory) / "ghc" / "iserv", orphans) as broker:
                folder = broker.environment["XDG_RUNTIME_DIR"]
                started = run(["sh", "-c", f"{program} 60 & echo $! > {folder}/pid"],
                              Path(directory), dict(os.environ))
                self.assertEqual(started.status, 0)
                wait_until(orphans.brokers)
                status = Path(folder) / "status"
                status.write_text('{"zygotes": [{"growing": true}]}')
                threading.Timer(2, status.write_text, ['{"zygotes": [{"growing": false}]}']).start()
                began = time.monotonic()
                orphans.settle()
                self.assertLess(time.monotonic() - began, 1.5)
                broker.settle()
                self.assertGreater(time.monotonic() - began, 1.9)
                self.assertEqual(len(orphans.brokers()), 1)
            self.assertEqual(orphans.brokers(), [])

    def test_memory_is_that_of_all_descendants(self):
        with subprocess.Popen(["sh", "-c", "sleep 30 & wait"]) as shell:
            wait_until(lambda: list(descendants(shell.pid)))
            sleeper, = descendants(shell.pid)
            self.assertIn(sleeper, descendants(os.getpid()))
            self.assertGreater(proportional_bytes(sleeper), 10000)
            os.kill(sleeper, 15)
        self.assertEqual(proportional_bytes(shell.pid), 0)

    def test_a_process_belongs_to_whom_started_it(self):
        ours = Contender(OURS_WARM, Path("/b/ghc-9.0.2/iserv"))
        peer = Contender(PEER, Path("/usr/lib/ghc/bin/ghc-iserv"))
        for program, owners in (("/b/iserv/iservd", [True, False]),
                                ("/b/ghc-9.0.2/interpreter-prof", [True, False]),
                                ("/usr/lib/ghc/bin/ghc-iserv-dyn", [False, True]),
                                ("/usr/lib/ghc/bin/ghc", [False, False])):
            self.assertEqual([c.owns(Path(program)) for c in (ours, peer)], owners, program)

    def test_every_contender_begins_a_round(self):
        self.assertEqual([rotated("abc", n) for n in range(4)], ["abc", "bca", "cab", "abc"])


class ProjectTest(unittest.TestCase):
    def test_modules_differ(self):
        with tempfile.TemporaryDirectory() as directory:
            sources = write_modules(Path(directory), 60)
            self.assertEqual(len({source.read_text() for source in sources}), 60)


class PackagesTest(unittest.TestCase):
    def test_what_is_needed_comes_first(self):
        needs = {"a-1": ("c-1",), "b-1": (), "c-1": ("b-1", "elsewhere-1")}
        packages = {unit: Package(unit, unit, (), {}, (), depends) for unit, depends in needs.items()}
        self.assertEqual([p.name for p in in_order(packages)], ["b-1", "c-1", "a-1"])

    def test_functions_are_applied_where_their_type_tells_how(self):
        for signature, expected in (
                ("Int -> String -> Foo", [(0, ("f", "1", '"1"'))]),
                ("Foo", [(1, ("f",))]),
                ("(Int -> Foo) -> Bar", [(2, ("f",))]),
                ("IO ()", [(2, ("f",))]),
                ("forall a. [a] -> a", [(2, ("f",))]),
                ("forall b (m :: * -> *) a. (Monad m, Show a) => Int -> m a",
                 [(0, ("f", "@_", "@Maybe", "@Int", "1"))]),
                ("forall {k} (m :: k -> *) a. Num a => a", [(2, ("f", "@_", "@Int"))]),
                ("forall a. Some.Class a => a", []),
                ("?callStack::Int => Foo", []),
                ("Int -> (forall a. a) -> Int", []),
                ("Int# -> Int", [])):
            self.assertEqual(list(application("f", signature)), expected, signature)

    def test_arrows_in_brackets_are_not_outer_ones(self):
        self.assertEqual(at_arrows("(a -> b) -> [c -> d] -> e"), ["(a -> b)", "[c -> d]", "e"])


class CommandLineTest(unittest.TestCase):
    def test_unknown_names_are_refused(self):
        bench = Path(__file__).with_name("bench.py")
        ran = subprocess.run([bench, "--modules", "T,Q"], text=True, capture_output=True,
                             check=False)
        self.assertEqual(ran.returncode, 2)
        self.assertIn("Q: not one of T, L, J, Y", ran.stderr)

    def test_a_meter_is_needed(self):
        bench = Path(__file__).with_name("bench.py")
        ran = subprocess.run([bench, "--only", "warm", "--ghc", "ghc"], text=True,
                             capture_output=True, check=False)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("say --meter", ran.stderr)


if __name__ == "__main__":
    unittest.main()
