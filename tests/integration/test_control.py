"""iservctl's commands for the broker: config, status, log, stop, warm."""

import json
import os
import pathlib
import re
import shutil
import signal
import time
import unittest

from support import GHC, OURS, VANILLA, WAYS, expand, for_each
from test_iservctl import BINARY, SPLICE, IservctlTest

SLEEPS = """{-# LANGUAGE TemplateHaskell #-}
module Sleeps where
import Control.Concurrent
import Language.Haskell.TH.Syntax
two :: Int
two = $(runIO (threadDelay 3000000) >> [| 1 + 1 |])
"""

WAY_NAMES = {"vanilla": "vanilla", "profiling": "profiled", "dynamic": "dynamic"}


def is_alive(process):
    """Whether there is such a process; not if it is only waited for to be forgotten."""
    try:
        return ") Z " not in pathlib.Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False


class ControlTest(IservctlTest):
    """A test with a broker of its own, if any, and without settings."""

    own_broker = True

    def setUp(self):
        super().setUp()
        for name in list(self.workspace.env):
            if name.startswith("ISERV_") or name == "XDG_CONFIG_HOME":
                del self.workspace.env[name]
        self.addCleanup(self.iservctl, "stop")

    def compile(self, way=VANILLA):
        self.workspace.write("Splice.hs", SPLICE)
        done = self.workspace.ghc(OURS, "-v0", "-fforce-recomp", *way.flags, "-c", "Splice.hs")
        self.assertEqual((done.status, done.stdout, done.stderr), (0, "", ""), done)

    def start_sleeping(self):
        """Starts a compile of which a splice takes some seconds; returns when the splice runs."""
        self.workspace.write("Sleeps.hs", SLEEPS)
        ghc = self.workspace.start(GHC, "-v0", "-fexternal-interpreter", "-pgmi", OURS, "-c", "Sleeps.hs")
        self.wait_until(lambda: self.status().get("sessions"))
        return ghc

    def status(self):
        done = self.iservctl("status", "--json")
        self.assertEqual((done.status, done.stderr), (0, ""), done)
        return json.loads(done.stdout)

    def wait_until(self, condition):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)

    def assert_says(self, done, text):
        self.assertEqual((done.status, done.stderr), (0, ""), done)
        self.assertIn(text, done.stdout, done)


class CommandLine(ControlTest):
    def test_help(self):
        listed = self.iservctl("--help").stdout
        for command in ("config", "status", "log", "stop", "warm"):
            self.assertIn(f"  {command} ", listed)
            done = self.iservctl(command, "--help")
            # As the library's version has it, with or without "Usage:".
            self.assert_says(done, f"iservctl {command}")

    def test_mistakes(self):
        for arguments in (["config", "x"], ["status", "--nonsense"], ["log", "x"], ["stop", "x"], ["warm"],
                          ["warm", "--"], ["warm", "--way", "fast", "base"], ["warm", "base", "--", "ghc"],
                          ["warm", "--way", "dynamic", "--", "ghc"]):
            done = self.iservctl(*arguments)
            self.assertEqual((done.status, done.stdout), (2, ""), done)
            self.assertIn("--help", done.stderr, done)


class Config(ControlTest):
    def setUp(self):
        super().setUp()
        self.file = self.workspace.root / "home" / ".config" / "splicehost" / "config"

    def settings(self):
        done = self.iservctl("config")
        self.assertEqual((done.status, done.stderr), (0, ""), done)
        lines = done.stdout.partition("\n\n")[0].splitlines()[1:]
        return {name: (value, source) for name, value, source in map(str.split, lines)}, done.stdout

    def write(self, text):
        self.file.parent.mkdir(parents=True)
        self.file.write_text(text)

    def test_defaults(self):
        settings, text = self.settings()
        self.assertRegex(settings.pop("memory")[0], r"^\d+M$")
        # Of splices on other machines.
        self.assertIn("dist-newstyle", settings.pop("exclude")[0])
        self.assertEqual(settings.pop("variables"), ("LANG,LC_ALL,LC_CTYPE,TZ", "default"))
        elsewhere = {name: settings.pop(name) for name in ("via", "architecture", "root", "max-file", "token-file",
                                                           "certificate", "timeout")}
        self.assertEqual(elsewhere, {"via": ("-", "default"), "architecture": ("-", "default"),
                                     "root": ("-", "default"), "max-file": ("16M", "default"),
                                     "token-file": ("-", "default"), "certificate": ("-", "default"),
                                     "timeout": ("30", "default")})
        self.assertEqual(settings, {"share": ("on", "default"), "zygotes": ("24", "default"),
                                    "spares": ("2", "default"), "idle": ("900", "default")})
        self.assertIn(f"The configuration file is {self.file}, which does not exist.\n", text)

    def test_shows_where_values_come_from(self):
        self.write("# mine\nmemory = 2G\nidle = 60\n")
        self.workspace.env["ISERV_IDLE"] = "5"
        settings, text = self.settings()
        self.assertEqual(settings["memory"], ("2G", f"{self.file}:2"))
        self.assertEqual(settings["idle"], ("5", "ISERV_IDLE"))
        self.assertIn(f"The configuration file is {self.file}.\n", text)

    def test_mistakes(self):
        self.write("idle = soon\n")
        self.assert_complains(self.iservctl("config"), f"iservctl: {self.file}:1: idle is 'soon', but must be")


class Status(ControlTest):
    def test_without_a_broker(self):
        self.assert_says(self.iservctl("status"), "No broker runs. The next ghc that needs one starts it.\n")
        self.assertEqual(self.status(), {"running": False})

    def test_when_share_is_off(self):
        self.workspace.env["ISERV_SHARE"] = "off"
        self.assert_says(self.iservctl("status"), "share is off (ISERV_SHARE)")

    def test_after_a_compile(self):
        self.compile()
        status = self.status()
        # GHC does not wait until the broker has heard that the session has ended.
        until = time.monotonic() + 5
        while status["running"] and status["sessions"] and time.monotonic() < until:
            time.sleep(0.02)
            status = self.status()
        self.assertTrue(status["running"])
        self.assertEqual((status["attaches"], status["sessions"]), (1, []), status)
        self.assertEqual(status["directory"], str(self.workspace.runtime / "splicehost"))
        root = status["zygotes"][0]
        self.assertEqual((root["way"], root["files"]), ("vanilla", []), status)
        self.assertTrue(is_alive(root["processId"]))
        table = self.iservctl("status")
        self.assert_says(table, f"Broker {status['processId']} in {status['directory']}, for ")
        self.assertIn("1 session so far, 0% found", table.stdout)
        self.assertRegex(table.stdout, rf"\n +{root['processId']}  [\d.]+ +vanilla +nothing ")

    def test_during_a_compile(self):
        ghc = self.start_sleeping()
        [session] = self.status()["sessions"]
        self.assertIn("iserv ", self.workspace.processes()[session["clientProcessId"]])
        self.assertTrue(is_alive(session["processId"]))
        self.wait_until(lambda: self.status()["sessions"][0]["state"] == "waiting")
        self.assertRegex(self.iservctl("status").stdout,
                         rf"\n +{session['processId']} +{session['clientProcessId']} .*  waiting\n")
        self.assertEqual(ghc.wait(), 0)
        self.wait_until(lambda: not self.status()["sessions"])

    def test_watch(self):
        watch = self.workspace.start(BINARY, "status", "--watch", stdout=-1, text=True)
        self.addCleanup(watch.stdout.close)
        self.assertIn("No broker runs.", watch.stdout.readline())
        self.compile()
        self.wait_until(lambda: watch.stdout.readline().startswith("Broker "))
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(), -signal.SIGINT)

    def test_of_a_broker_that_hangs(self):
        self.compile()
        broker = self.status()["processId"]
        os.kill(broker, signal.SIGSTOP)
        self.addCleanup(os.kill, broker, signal.SIGCONT)
        for command in ("status", "stop"):
            self.assert_complains(self.iservctl(command), f"the broker (process {broker}) does not answer",
                                  f"kill -9 {broker}")

    def test_in_an_unsafe_directory(self):
        directory = self.workspace.runtime / "splicehost"
        directory.mkdir(mode=0o755)
        for command in ("status", "stop", "log"):
            self.assert_complains(self.iservctl(command), f"{directory} is open to other users", "chmod go-rwx")
        directory.chmod(0o700)


class Stop(ControlTest):
    def test_without_a_broker(self):
        self.assert_says(self.iservctl("stop"), "nothing to stop")

    def test_ends_the_broker_and_its_zygotes(self):
        self.compile()
        status = self.status()
        processes = [status["processId"]] + [zygote["processId"] for zygote in status["zygotes"]]
        self.assertTrue(all(map(is_alive, processes)))
        self.assert_says(self.iservctl("stop"), "The broker has ended.\n")
        self.assertFalse(any(map(is_alive, processes)))
        self.assertEqual(self.status(), {"running": False})
        self.compile()
        self.assertTrue(self.status()["running"])

    def test_lets_sessions_go_on(self):
        ghc = self.start_sleeping()
        self.assert_says(self.iservctl("stop"), "The broker has ended.\n")
        self.assertIsNone(ghc.poll())
        self.assertEqual(ghc.wait(), 0)

    def test_after_a_broker_was_killed(self):
        self.compile()
        os.kill(self.status()["processId"], signal.SIGKILL)
        self.wait_until(lambda: self.status() == {"running": False})
        self.assert_says(self.iservctl("stop"), "nothing to stop")


class Log(ControlTest):
    def test_without_a_broker(self):
        self.assert_complains(self.iservctl("log"), "no broker has run yet",
                              str(self.workspace.runtime / "splicehost"))

    def test_tells_what_happened(self):
        self.compile()
        broker = self.status()["processId"]
        for _ in range(2):
            self.assert_says(self.iservctl("log"), str(broker))
            self.iservctl("stop")

    def test_follows(self):
        log = self.workspace.start(BINARY, "log", "-f", stdout=-1, text=True)
        self.addCleanup(log.stdout.close)
        for _ in range(2):
            self.compile()
            broker = self.status()["processId"]
            self.wait_until(lambda: str(broker) in log.stdout.readline())
            self.iservctl("stop")
        log.send_signal(signal.SIGINT)
        self.assertEqual(log.wait(), -signal.SIGINT)


@expand
class WarmByCommand(ControlTest):
    @for_each(way=WAYS)
    def test_makes_the_next_compile_a_hit(self, way):
        self.workspace.write("Splice.hs", SPLICE)
        done = self.iservctl("warm", "--", GHC, *way.flags, "-c", "Splice.hs")
        self.assert_says(done, f"{WAY_NAMES[way.name]} with ")
        self.assertEqual(self.status()["hits"], 0)
        self.assertTrue((self.workspace.cwd / f"Splice.{way.object_suffix}").exists())
        self.compile(way)
        self.assertEqual(self.status()["hits"], 1)

    def test_passes_on_input_output_and_status(self):
        expression = "interact id >> System.Exit.exitWith (System.Exit.ExitFailure 3)"
        done = self.workspace.run(BINARY, "warm", "--", GHC, "-v0", "-e", expression, stdin="something")
        self.assertEqual((done.status, done.stdout, done.stderr), (3, "something", ""), done)
        self.workspace.write("Wrong.hs", "wrong")
        done = self.iservctl("warm", "--", GHC, "-v0", "-c", "Wrong.hs")
        self.assertEqual((done.status, done.stdout), (1, ""), done)
        self.assertIn("Wrong.hs:1:1", done.stderr)
        self.assertNotIn("iservctl", done.stderr)

    def test_keeps_a_chosen_interpreter(self):
        self.workspace.write("Splice.hs", SPLICE)
        name = self.workspace.write("chosen", f'#!/bin/sh\n>was-here\nexec {OURS} "$@"\n')
        script = self.workspace.cwd / name
        script.chmod(0o755)
        done = self.iservctl("warm", "--", GHC, "-fexternal-interpreter", "-pgmi", script, "-c", "Splice.hs")
        self.assert_says(done, "vanilla with ")
        self.assertTrue((self.workspace.cwd / "was-here").exists())

    def test_without_ghc(self):
        self.assert_complains(self.iservctl("warm", "--", "no-such-ghc", "-c"), "no-such-ghc", "no such file")

    def test_without_sharing(self):
        self.workspace.env["ISERV_SHARE"] = "off"
        self.assert_complains(self.iservctl("warm", "--", GHC, "-c", "Splice.hs"), "share is off (ISERV_SHARE)")
        self.assert_complains(self.iservctl("warm", "containers"), "share is off (ISERV_SHARE)")

    def test_of_nothing(self):
        self.workspace.write("Plain.hs", "module Plain where\n")
        self.assert_complains(self.iservctl("warm", "--", GHC, "-v0", "-c", "Plain.hs"), "no broker runs")


@expand
class WarmByPackage(ControlTest):
    def warm(self, *arguments):
        done = self.iservctl("warm", "--ghc", GHC, *arguments)
        self.assertEqual(list(self.workspace.tmp.iterdir()), [])
        self.assertEqual(list(self.workspace.cwd.iterdir()), [])
        return done

    def assert_loaded(self, package, way):
        zygotes = [zygote for zygote in self.status()["zygotes"] if zygote["way"] == way]
        self.assertTrue(any(re.search(rf"HS{package}-[\d.]+", file) for zygote in zygotes
                            for file in zygote["files"]), (package, zygotes))

    @for_each(way=WAYS)
    def test_loads_the_package(self, way):
        name = WAY_NAMES[way.name]
        done = self.warm("--way", name, "containers")
        self.assertRegex(done.stdout, rf"^\d+ zygotes: {name} with \d+ files up to ", done)
        self.assertEqual({zygote["way"] for zygote in self.status()["zygotes"]}, {name})
        self.assert_loaded("containers", name)

    def test_loads_several(self):
        done = self.warm("--way", "vanilla", "--way", "dynamic", "mtl", "containers")
        self.assertEqual((done.status, done.stderr), (0, ""), done)
        for way in ("vanilla", "dynamic"):
            for package in ("mtl", "containers"):
                self.assert_loaded(package, way)

    def test_loads_a_hidden_package(self):
        self.assert_says(self.warm("ghc"), "zygotes: ")
        self.assert_loaded("ghc", "vanilla")

    def test_of_no_package(self):
        self.assert_complains(self.warm("no-such-package"), "no-such-package")

    def test_ends_when_it_is_stopped(self):
        script = self.workspace.root / "ghc"
        script.write_text(f'#!/bin/sh\ncase "$*" in *-c*) exec sleep 1000;; esac\nexec {shutil.which(GHC)} "$@"\n')
        script.chmod(0o755)
        warm = self.workspace.start(BINARY, "warm", "--ghc", script, "containers", stdout=-1, stderr=-1)
        self.wait_until(lambda: "sleep 1000 " in self.workspace.processes().values())
        warm.send_signal(signal.SIGINT)
        stdout, stderr = warm.communicate(timeout=20)
        self.assertEqual((warm.returncode, stdout, stderr), (1, b"", b"iservctl: interrupted\n"))
        self.assertEqual(list(self.workspace.tmp.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
