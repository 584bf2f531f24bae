"""The broker through which compiles share what they load: one for each thing that is measured."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

from .processes import program_of

NOTHING_SHARED = "there is no broker, so nothing is shared"


class Broker:
    """A place for a broker of its own, which the first compile in its `environment` starts.

    It is stopped at the end of the with statement: nothing is shared with what is measured next.
    """

    PATIENCE = 60.0  # seconds until zygotes have grown
    QUIET = 0.2  # seconds without a growing zygote, until it is believed that there will be none

    def __init__(self, interpreter, orphans):
        self._orphans = orphans
        self._control = None if interpreter is None else control_program(interpreter)
        self._programs = None if interpreter is None else interpreter.resolve().parents[1]
        self._folder = tempfile.TemporaryDirectory(prefix="splicehost-bench-")
        self.environment = {"XDG_RUNTIME_DIR": self._folder.name, "XDG_CONFIG_HOME": self._folder.name}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self._folder.cleanup()

    def runs(self):
        return bool(self._processes())

    def settle(self):
        """Waits until no zygote is growing."""
        deadline = quiet_since = time.monotonic()
        deadline += self.PATIENCE
        while time.monotonic() < deadline and time.monotonic() < quiet_since + self.QUIET:
            if not self.runs():
                return
            status = self.status()
            if status is None:
                time.sleep(2)  # as long as growing a few should take
                return
            if any(zygote["growing"] for zygote in status["zygotes"]):
                quiet_since = time.monotonic()
            time.sleep(0.02)

    def status(self):
        """What `iservctl status` says; None if it says nothing."""
        ran = self._tell("status", "--json")
        return json.loads(ran.stdout) if ran.returncode == 0 else None

    def stop(self):
        """Ends the broker and its zygotes, and waits for them."""
        if not self.runs():
            return
        self._tell("stop")
        deadline = time.monotonic() + 10
        while brokers := self._processes():
            if time.monotonic() > deadline:
                print("iservctl stop does not stop the broker", file=sys.stderr)
                for pid in brokers:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        self._orphans.settle()

    def _processes(self):
        """Brokers of the same build, of which there is one at a time."""
        return [pid for pid in self._orphans.brokers() if self._programs in program_of(pid).parents]

    def _tell(self, *what):
        return subprocess.run([self._control, *what], env={**os.environ, **self.environment},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, check=False)


def control_program(interpreter):
    """iservctl, where it is built or installed."""
    built = interpreter.parents[1] / "iservctl"
    return built if built.exists() else interpreter.parents[3] / "bin" / "iservctl"
