#!/usr/bin/env python3
"""Splices of an AArch64 GHC, run on an AArch64 machine that has neither GHC nor libraries.

The front end is a program of this machine; GHC and the interpreter are emulated, in a root directory each. tests/cross/run
makes what this needs, and says so in the environment:

  SPLICEHOST_SYSROOT   a root directory of Debian 13 for arm64, with GHC and the packages lens, aeson and file-embed
  SPLICEHOST_CROSS     a build for it (ways/cross.cmake) with SPLICEHOST_FRONT_END

Needs root. With arguments, only tests whose names contain one of them run. The last line counts them.
"""

import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
SYSROOT = pathlib.Path(os.environ.get("SPLICEHOST_SYSROOT", "/nonexistent"))
CROSS = pathlib.Path(os.environ.get("SPLICEHOST_CROSS", "/nonexistent"))
MODULES = CHECKOUT / "tests" / "integration" / "modules"

# Where programs are emulated, and share processors with others, they take their time.
PATIENCE = 900

WAYS = {"vanilla": (), "dynamic": ("-dynamic", "-osuf", "dyn_o", "-hisuf", "dyn_hi")}
PROJECTS = {"plain": "Plain.hs", "lens": "Lenses.hs", "aeson": "Json.hs", "embed": "Embedded.hs"}

# GHC's own interpreter is linked where its linker wants to put objects (rts/linker/MMap.c, LOW_ADDR). In the vanilla
# way it then fails an assertion of the linker's, depending on what it loads and where the kernel puts that.
LINKER_FAILED = re.compile(r"ASSERTION FAILED: file rts/linker/elf_reloc_aarch64\.c")


class Machine:
    """A root directory that has the target's directory, /proc, /dev/null and /tmp, and nothing else."""

    def __init__(self, root):
        self.root = root
        for part in ("proc", "dev", "tmp", "cache"):
            (root / part).mkdir(parents=True)
        (root / "dev" / "null").touch()
        subprocess.run(["cmake", "--install", CROSS, "--component", "target", "--prefix", root / "target"], check=True,
                       stdout=subprocess.DEVNULL)
        self.enter = root.with_name("enter-machine")
        self.enter.write_text(
            "#!/bin/sh\n"
            f"exec unshare -m \"$@\" sh -c 'mount -t proc proc {root}/proc; mount --bind /dev/null {root}/dev/null\n"
            f"exec chroot {root} /target/splicehost-target --cache /cache $SPLICEHOST_OPTIONS'\n")
        self.enter.chmod(0o755)
        self.command = shlex.quote(str(self.enter))
        self._listener = None

    def listen(self):
        """Has it listen; returns what to give to --via. With a process namespace, which goes with all that is in it."""
        where = "unix:/tmp/target.socket"
        self._listener = subprocess.Popen([self.enter, "-p", "-f", "--kill-child"], stdout=subprocess.PIPE,
                                          env=dict(os.environ, SPLICEHOST_OPTIONS=f"--listen {where}"))
        line = self._listener.stdout.readline().decode()
        assert "listening" in line, f"it does not listen: {line!r}"
        return f"unix:{self.root}/tmp/target.socket"

    def stop(self):
        if self._listener is not None:
            self._listener.kill()
            self._listener.stdout.close()
            self._listener.wait()

    def contents(self):
        directory = self.root / "cache" / "content"
        return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


class Arm64(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="splicehost-cross-"))
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        cls.machine = Machine(cls.root / "machine")
        cls.addClassCleanup(cls.machine.stop)
        cls.via = cls.machine.listen()
        cls.version = cls.run_there("/usr/bin/ghc", "--numeric-version", cwd=cls.root).stdout.strip()
        cls.iserv = CROSS / f"ghc-{cls.version}" / "iserv"

    @classmethod
    def run_there(cls, *words, cwd, **environment):
        """Runs a program of the sysroot."""
        words = [CHECKOUT / "ways" / "run-in-sysroot", SYSROOT, "--see", CROSS, "--see", cls.root, *words]
        try:
            return subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE,
                                  env=dict(os.environ, LANG="C.UTF-8", HOME="/root",
                                           PATH="/usr/sbin:/usr/bin:/sbin:/bin", **environment))
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"no end within {PATIENCE} s: {late.stdout} {late.stderr}") from late

    def directory(self, project):
        directory = pathlib.Path(tempfile.mkdtemp(dir=self.root))
        shutil.copytree(MODULES / project, directory, dirs_exist_ok=True)
        return directory

    def compile(self, directory, source, way, *interpreter, **environment):
        return self.run_there("/usr/bin/ghc", "-v0", *interpreter, *WAYS[way], "-c", source, cwd=directory, **environment)

    def compile_remotely(self, directory, source, way, *options, via=None, **environment):
        words = ("--via", via or self.via, "--timeout", "300", *options)
        return self.compile(directory, source, way, "-fexternal-interpreter", "-pgmi", self.iserv,
                            *(f"-opti{word}" for word in words), **environment)

    def assert_well(self, done):
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    @staticmethod
    def products(directory):
        return {path.name: path.read_bytes() for path in directory.iterdir()
                if re.fullmatch(r"\.(dyn_)?(o|hi)", path.suffix)}

    def interface(self, directory, name):
        """What an interface says, but for the libraries that the interpreter had."""
        shown = self.run_there("/usr/bin/ghc", "--show-iface", name, cwd=directory)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        return [line for line in shown.stdout.splitlines()
                if not re.match(r"\s*interface hash:|addDependentFile \".*/libHS", line)]

    def check_identical(self, project, way):
        ours, theirs = self.directory(project), self.directory(project)
        self.assert_well(self.compile_remotely(ours, PROJECTS[project], way))
        peer = SYSROOT / "usr" / "lib" / "ghc" / "bin" / "ghc-iserv"
        for _ in range(3):
            done = self.compile(theirs, PROJECTS[project], way, "-fexternal-interpreter", "-pgmi",
                                f"/{peer.relative_to(SYSROOT)}")
            if not LINKER_FAILED.search(done.stderr):
                break
        if done.returncode == 0:
            self.assertEqual(sorted(self.products(ours)), sorted(self.products(theirs)))
            for name, data in self.products(theirs).items():
                self.assertEqual(data, self.products(ours)[name], name)
            return
        # GHC's interpreter cannot; then GHC itself is what to compare with. It loads shared objects in every way, and
        # an interface tells which libraries were loaded.
        self.assertRegex(done.stderr, LINKER_FAILED)
        print(f"    {project}, {way}: ghc-iserv fails an assertion; compared with GHC's internal interpreter", flush=True)
        self.assert_well(self.compile(theirs, PROJECTS[project], way))
        self.assertEqual(sorted(self.products(ours)), sorted(self.products(theirs)))
        for name, data in self.products(theirs).items():
            if name.endswith("hi"):
                self.assertEqual(self.interface(theirs, name), self.interface(ours, name))
            else:
                self.assertEqual(data, self.products(ours)[name], name)

    def test_machine_has_nothing_else(self):
        self.assertEqual(sorted(path.name for path in self.machine.root.iterdir()),
                         ["cache", "dev", "proc", "target", "tmp"])
        for program in ("splicehost-target", f"ghc-{self.version}/interpreter", "iserv/iservd"):
            self.assertEqual(elf_machine(self.machine.root / "target" / program), "AArch64", program)
        self.assertEqual(elf_machine(self.iserv), elf_machine(sys.executable))

    def test_second_compile_sends_nothing(self):
        for _ in range(2):
            directory = self.directory("aeson")
            self.assert_well(self.compile_remotely(directory, "Json.hs", "vanilla"))
            before = self.machine.contents()
            self.assertTrue(any(path.endswith(".a") for path in before), before)
        self.assertEqual(self.machine.contents(), before)

    def test_command_without_broker(self):
        directory = self.directory("plain")
        self.assert_well(self.compile_remotely(directory, "Plain.hs", "vanilla", via=self.machine.command, ISERV_SHARE="off"))

    def test_other_architecture_is_refused(self):
        done = self.compile_remotely(self.directory("plain"), "Plain.hs", "vanilla", "--architecture", "x86_64")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "architecture.*x86_64.*aarch64")

    def test_crash_is_reported(self):
        directory = self.directory("plain")
        (directory / "Crash.hs").write_text(
            "{-# LANGUAGE TemplateHaskell #-}\nmodule Crash where\nimport Foreign\nimport Language.Haskell.TH.Syntax\n"
            "$(runIO (poke (nullPtr `plusPtr` 4096) 'x') >> pure [])\n")
        started = time.monotonic()
        done = self.compile_remotely(directory, "Crash.hs", "vanilla")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("interpreted code crashed: Segmentation fault", done.stderr)
        self.assertIn("Haskell stack", done.stderr)
        self.assertLess(time.monotonic() - started, PATIENCE / 2)


def elf_machine(path):
    said = subprocess.run(["readelf", "-h", path], check=True, capture_output=True, text=True).stdout
    return re.search(r"Machine:\s+(.*)", said)[1]


for project in PROJECTS:
    for way in WAYS:
        def test(self, project=project, way=way):
            self.check_identical(project, way)
        setattr(Arm64, f"test_identical_{project}_{way}", test)


class Outcome(unittest.TestResult):
    """Says how each test went, as it ends."""

    passed = 0

    def startTest(self, test):
        super().startTest(test)
        self._started = time.monotonic()

    def _say(self, how, test, text=""):
        print(f"{how:7} {test.id().rpartition('.')[2]} ({time.monotonic() - self._started:.1f} s)\n{text}".rstrip(),
              flush=True)

    def addSuccess(self, test):
        self.passed += 1
        self._say("passed", test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._say("failed", test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        if hasattr(self, "_started"):
            self._say("failed", test, self.errors[-1][1])
        else:
            print(self.errors[-1][1], flush=True)


def main(texts):
    if not (SYSROOT / "usr/bin/ghc").exists() or not (CROSS / "build.ninja").exists():
        print("test_arm64: SPLICEHOST_SYSROOT and SPLICEHOST_CROSS must say where the root directory and the build are; "
              "tests/cross/run does\n0 passed, 1 failed")
        return 1
    tests = [test for test in unittest.defaultTestLoader.loadTestsFromTestCase(Arm64)
             if not texts or any(text in test.id() for text in texts)]
    outcome = Outcome()
    unittest.TestSuite(tests).run(outcome)
    failed = len(outcome.failures) + len(outcome.errors)
    # What was not run because the machine could not be made has not passed.
    failed += len(tests) - outcome.testsRun
    print(f"{outcome.passed} passed, {failed} failed")
    return 0 if outcome.passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
