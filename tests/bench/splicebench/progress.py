"""Says on stderr what is being done."""

import sys


class Progress:
    """One changing line on a terminal, and a line for each thing that is done."""

    def __init__(self, total):
        self._total = total
        self._done = 0
        self._terminal = sys.stderr.isatty()

    def step(self, what):
        if self._terminal:
            sys.stderr.write(f"\r[{self._done + 1}/{self._total}] {what}\x1b[K")
            sys.stderr.flush()

    def say(self, what):
        sys.stderr.write(("\r\x1b[K" if self._terminal else "") + what + "\n")
        sys.stderr.flush()

    def done(self, what):
        self._done += 1
        self.say(f"[{self._done}/{self._total}] {what}")
