"""Damaged traffic never crashes the front end, never hangs it, and is reported.

SPLICEHOST_MUTATIONS says how many damaged streams there are in all (default 200). What decodes
well is evaluated, and damaged byte code may crash the interpreter: then the front end must say
so. It may also loop: then hanging up must end everything within a second.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

import mutation
import scenarios
from pipes import Driven
from support import GHC, OURS, WAYS, IntegrationTest, expand, external, for_each

MUTATIONS = int(os.environ.get("SPLICEHOST_MUTATIONS", "200"))

RECORDER = pathlib.Path(__file__).resolve().parent / "recorder.py"

MUCH_MEMORY = 1 << 30
"""Bytes that no damaged stream may make the interpreter take."""

INTERPRETER_CRASHED = r"interpreter was ended by signal \d+"
"""What the front end says before it ends with the interpreter's signal, for GHC to see."""

SUBJECTS = ("effects", "session")

SESSION = """
:load Debugged.hs
map (+ 1) [1, 2, 3 :: Int]
let numbers = map (* 2) [1 .. 5 :: Int]
:print numbers
:force numbers
:break total
total heavy
:step
:continue
:abandon
:delete *
error "an exception" :: Int
total heavy
"""


@expand
class MutatedStreams(IntegrationTest):
    """Real traffic, recorded from our interpreter, damaged and played to it again."""

    @for_each(way=WAYS)
    @for_each(subject=SUBJECTS)
    def test_replay(self, way, subject):
        """For comparison: undamaged, a recorded stream is a proper session."""
        pieces, answered = self.record(way, subject)
        done = self.play(way, b"".join(pieces), answered)
        self.assertEqual(done.status, 0, done)

    @for_each(way=WAYS)
    @for_each(subject=SUBJECTS)
    def test_mutated(self, way, subject):
        pieces, answered = self.record(way, subject)
        for number in range(-(-MUTATIONS // (len(WAYS) * len(SUBJECTS)))):
            stream, what = mutation.mutate(pieces, f"{subject} {way.name} {number}")
            with self.subTest(what):
                done = self.play(way, stream, answered)
                self.assert_reported(done)

    def assert_reported(self, done):
        """A failure has its message; an end by a signal is the interpreter's, passed on."""
        if done.status > 0:
            self.assertTrue(done.stderr.strip(), f"no error message: {done}")
        if done.status < 0:
            self.assertRegex(done.stderr, INTERPRETER_CRASHED, f"the front end crashed: {done}")

    def record(self, way, subject):
        """Runs GHC with our interpreter: (what GHC sent, in pieces; the length of the answers)."""
        file = self.workspace.root / "recorded.json"
        recorder = self.workspace.root / "recorder"
        script = pathlib.Path(f"{recorder}{way.suffix}")
        command = f"{sys.executable} {RECORDER} {OURS}{way.suffix} {file}"
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)
        done = getattr(self, f"run_{subject}")(external(recorder), way)
        self.assertEqual(done.status, 0, done)
        said = [(speaker, bytes.fromhex(data)) for speaker, data in json.loads(file.read_text())]
        return ([data for speaker, data in said if speaker == "ghc"],
                sum(len(data) for speaker, data in said if speaker == "interpreter"))

    def run_effects(self, flags, way):
        """Splices that ask GHC for things."""
        self.workspace.copy_modules("effects")
        return self.workspace.run(GHC, *flags, *way.flags, "-c", "Effects.hs")

    def run_session(self, flags, way):
        """Statements and a little debugging."""
        shutil.copy(scenarios.DIRECTORY / "Debugged.hs", self.workspace.cwd)
        return self.workspace.run(GHC, "--interactive", "-v0", "-ignore-dot-ghci", *flags,
                                  *way.flags, stdin=SESSION)

    def play(self, way, stream, answered):
        """Sends a stream and hangs up when no answers come any more; how the program ended."""
        driven = Driven(self.workspace, OURS + way.suffix)
        driven.send(stream)
        driven.wait_until_quiet(answered, seconds=0.5)
        driven.hang_up()
        try:
            done = driven.wait_for_end(seconds=2)
        except subprocess.TimeoutExpired:
            self.fail(f"alive after GHC has hung up; it said: {driven.texts}")
        self.assertLess(driven.peak_memory, MUCH_MEMORY, done)
        self.assertFalse(self.workspace.wait_until_empty(1), f"processes left behind: {done}")
        return done


if __name__ == "__main__":
    unittest.main()
