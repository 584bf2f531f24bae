"""iservctl: its commands, with the GHC under test and with GHCs that lack something."""

import json
import pathlib
import shutil
import signal
import subprocess
import time
import unittest

import partial_ghc
from support import GHC, OURS, WAYS, IntegrationTest, expand, for_each

ROOT = pathlib.Path(OURS).parent.parent
BINARY = ROOT / "iservctl"
if not BINARY.exists():
    BINARY = ROOT.parent.parent / "bin" / "iservctl"

SPLICE = "{-# LANGUAGE TemplateHaskell #-}\nmodule Splice where\ntwo :: Int\ntwo = $([| 1 + 1 |])\n"


class IservctlTest(IntegrationTest):
    def iservctl(self, *arguments, binary=BINARY):
        return self.workspace.run(binary, *arguments)

    def partial(self, **options):
        return partial_ghc.make(self.workspace.root / "partial", **options)

    def assert_complains(self, done, *texts):
        self.assertEqual((done.status, done.stdout), (1, ""), done)
        for text in texts:
            self.assertIn(text, done.stderr, done)


class CommandLine(IservctlTest):
    def test_help(self):
        for arguments in (["--help"], ["flags", "--help"], ["doctor", "--help"]):
            done = self.iservctl(*arguments)
            self.assertEqual((done.status, done.stderr), (0, ""), done)
            # As the library's version has it, with or without "Usage:".
            self.assertIn(" ".join(["iservctl", *arguments[:-1], "[OPTIONS]"]), done.stdout)

    def test_version(self):
        done = self.iservctl("--version")
        self.assertEqual(done.status, 0, done)
        self.assertRegex(done.stdout, r"^iservctl \d+\.\d+\.\d+\n$")

    def test_mistakes(self):
        for arguments in ([], ["nonsense"], ["flags", "--nonsense"], ["doctor", "--ghc"]):
            done = self.iservctl(*arguments)
            self.assertEqual((done.status, done.stdout), (2, ""), done)
            self.assertIn("--help", done.stderr, done)


@expand
class Flags(IservctlTest):
    def test_is_one_line(self):
        done = self.iservctl("flags", "--ghc", GHC)
        self.assertEqual((done.status, done.stdout, done.stderr),
                         (0, f"-fexternal-interpreter -pgmi {OURS}\n", ""), done)

    @for_each(way=WAYS)
    def test_make_ghc_work(self, way):
        flags = self.iservctl("flags", "--ghc", GHC).stdout.split()
        self.workspace.write("Splice.hs", SPLICE)
        done = self.workspace.run(GHC, "-v0", *flags, *way.flags, "-c", "Splice.hs")
        self.assertEqual(done.status, 0, done)

    def test_absent_ghc(self):
        done = self.iservctl("flags", "--ghc", "no-such-ghc")
        self.assert_complains(done, "no-such-ghc", "no such file", "has interpreters for GHC", "--ghc")

    def test_no_ghc(self):
        self.assert_complains(self.iservctl("flags", "--ghc", "cat"), "'cat' does not answer")
        self.assert_complains(self.iservctl("flags", "--ghc", "echo"), "not a GHC")

    def test_unknown_ghc(self):
        done = self.iservctl("flags", "--ghc", partial_ghc.stranger(self.workspace.cwd / "ghc-7", "7.0.1"))
        self.assert_complains(done, "GHC 7.0.1", "has interpreters for GHC", "works with GHC 9.0.2")


@expand
class Doctor(IservctlTest):
    def doctor(self, *programs, binary=BINARY):
        """Runs it with and without --json: (exit status, what it says of each program, the table)."""
        names = [word for program in programs for word in ("--ghc", program)]
        done = self.iservctl("doctor", "--json", *names, binary=binary)
        self.assertEqual(done.stderr, "", done)
        report = json.loads(done.stdout)
        self.assertEqual(report["works"], done.status == 0, done)
        self.assertEqual(list(self.workspace.tmp.iterdir()), [])
        by_program = {ghc["program"]: ghc for ghc in report["ghcs"]}
        table = self.iservctl("doctor", *names, binary=binary)
        self.assertEqual((table.status, table.stderr), (done.status, ""), table)
        self.assertEqual(list(self.workspace.tmp.iterdir()), [])
        return done.status, [by_program[str(program)] for program in programs], table.stdout

    @staticmethod
    def states(ghc, interpreter):
        return {way["way"]: way[interpreter]["state"] for way in ghc["ways"]}

    def own_state(self):
        """How GHC's own interpreter does: Debian's GHC 9.6 has it where it does not look for it."""
        self.workspace.write("M.hs", "{-# LANGUAGE TemplateHaskell #-}\nmodule M where\nn = $([|1 + 1 :: Int|])\n")
        done = self.workspace.run(GHC, "-v0", "-dynamic", "-fexternal-interpreter", "-c", "M.hs")
        return "fails" if done.status else "works"

    def test_of_a_ghc_that_has_all(self):
        status, [ghc], table = self.doctor(shutil.which(GHC))
        ways = ("vanilla", "profiled", "dynamic")
        own = self.own_state()
        self.assertEqual(self.states(ghc, "own"), dict.fromkeys(ways, own), ghc)
        self.assertEqual(self.states(ghc, "splicehost"), dict.fromkeys(ways, "works"), ghc)
        self.assertTrue(ghc["works"])
        self.assertEqual(status, 0)
        said = own if own == "works" else own.upper()
        self.assertIn(f"  vanilla    installed   {said}                   works\n", table)
        self.assertLessEqual(max(map(len, table.splitlines())), 100, table)

    def test_of_a_ghc_without_profiling(self):
        status, [ghc], table = self.doctor(self.partial(without=partial_ghc.PROFILING_FILES))
        own = self.own_state()
        self.assertEqual(self.states(ghc, "own"), {"vanilla": own, "profiled": "not-tried", "dynamic": own}, ghc)
        self.assertEqual(self.states(ghc, "splicehost"),
                         {"vanilla": "works", "profiled": "not-tried", "dynamic": "works"}, ghc)
        self.assertEqual(status, 0)
        self.assertRegex(table, r"The profiled way lacks \S+/Prelude.p_hi\n  To install it:  install the profiled")

    def test_of_a_ghc_without_its_own_interpreter(self):
        status, [ghc], table = self.doctor(self.partial(without=("ghc-iserv*",)))
        self.assertEqual(set(self.states(ghc, "own").values()), {"fails"}, ghc)
        self.assertEqual(set(self.states(ghc, "splicehost").values()), {"works"}, ghc)
        self.assertEqual(status, 0)
        self.assertIn("GHC's own interpreter fails in the vanilla way:\n", table)
        self.assertIn("ghc-iserv", table)

    def test_of_programs_that_are_no_ghc(self):
        echo = shutil.which("echo")
        status, [absent, other], table = self.doctor("/nonexistent/ghc", echo)
        self.assertEqual(status, 1)
        self.assertIn("no such file", absent["trouble"])
        self.assertIn("not a GHC", other["trouble"])
        self.assertIn(f"{echo}\n\n  This does not work as a GHC:\n", table)

    def test_of_an_interpreter_that_fails(self):
        binary = self.copy_of_installation()
        for suffix in ("", "-prof"):
            iserv = binary.parent / pathlib.Path(OURS).parent.name / ("iserv" + suffix)
            iserv.unlink()
            iserv.write_text("#!/bin/sh\necho out of order >&2\nexit 1\n")
            iserv.chmod(0o755)
        status, [ghc], table = self.doctor(shutil.which(GHC), binary=binary)
        self.assertEqual(status, 1)
        self.assertEqual(self.states(ghc, "splicehost"),
                         {"vanilla": "fails", "profiled": "fails", "dynamic": "works"}, ghc)
        self.assertIn("Splicehost fails in the profiled way:\n      out of order\n", table)

    def test_of_interpreters_that_are_not_built(self):
        binary = self.copy_of_installation()
        shutil.rmtree(binary.parent / pathlib.Path(OURS).parent.name)
        status, [ghc], table = self.doctor(shutil.which(GHC), binary=binary)
        self.assertEqual(status, 1)
        self.assertEqual(set(self.states(ghc, "splicehost").values()), {"not-built"}, ghc)
        self.assertIn(f"To build what is not built:  {binary} add-ghc", table)
        self.assert_complains(self.iservctl("flags", binary=binary), "has no interpreters", "add-ghc")

    def copy_of_installation(self):
        """iservctl and links to the interpreters, in a directory that can be damaged."""
        directory = self.workspace.root / "copy"
        name = pathlib.Path(OURS).parent.name
        (directory / name).mkdir(parents=True)
        for file in (ROOT / name).iterdir():
            # The front end looks beside itself, wherever links to it are.
            if file.name.startswith("iserv"):
                shutil.copy(file, directory / name)
            else:
                (directory / name / file.name).symlink_to(file)
        shutil.copy(BINARY, directory)
        (directory / "sources").symlink_to(ROOT / "sources")
        return directory / "iservctl"

    @for_each(number=(signal.SIGINT, signal.SIGTERM))
    def test_ends_all_when_it_is_stopped(self, number):
        ghc = self.partial(without=("ghc-iserv*",))
        # GHC 9.0 and 9.6 look in the first, 9.10 in the second.
        for directory in (ghc.parents[1] / "lib" / "bin", ghc.parent):
            directory.mkdir(exist_ok=True)
            for suffix in ("", "-prof", "-dyn"):
                script = directory / ("ghc-iserv" + suffix)
                script.write_text("#!/bin/sh\nexec sleep 1000\n")
                script.chmod(0o755)
        doctor = self.workspace.start(BINARY, "doctor", "--ghc", ghc, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)
        self.wait_for_process("sleep 1000")
        doctor.send_signal(number)
        stdout, stderr = doctor.communicate(timeout=20)
        self.assertEqual((doctor.returncode, stdout, stderr), (1, b"", b"iservctl: interrupted\n"))
        self.assertEqual(list(self.workspace.tmp.iterdir()), [])

    def wait_for_process(self, text):
        deadline = time.monotonic() + 60
        while not any(text in command for command in self.workspace.processes().values()):
            self.assertLess(time.monotonic(), deadline, self.workspace.processes())
            time.sleep(0.05)


if __name__ == "__main__":
    unittest.main()
