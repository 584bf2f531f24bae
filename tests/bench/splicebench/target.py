"""A target for remote splices: this machine, over TCP."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from .broker import Broker, control_program

INSTALL = Path(__file__).resolve().parents[3] / "ways" / "install-target"


class Target:
    """splicehost-target of the build that `ours` is in, listening on the loopback interface, with a broker of its own."""

    def __init__(self, ours, orphans):
        self._folder = tempfile.TemporaryDirectory(prefix="splicehost-bench-")
        folder = Path(self._folder.name)
        programs = folder / "target"
        subprocess.run([INSTALL, "--from", ours.resolve().parents[1], "--to", programs], check=True)
        shutil.copy(control_program(ours), programs)
        self.broker = Broker(programs / ours.parent.name / "interpreter", orphans)
        token = folder / "token"
        token.write_text("benchmark\n", encoding="ascii")
        token.chmod(0o600)
        port = free_port()
        self.environment = {"ISERV_VIA": f"tcp:127.0.0.1:{port}", "ISERV_TOKEN_FILE": str(token)}
        self._process = subprocess.Popen(
            [programs / "splicehost-target", "--listen", self.environment["ISERV_VIA"], "--token-file", token,
             "--cache", folder / "cache"], env={**os.environ, **self.broker.environment},
            stdout=subprocess.PIPE)
        orphans.spare(self._process.pid)
        self._process.stdout.readline()  # it says when it listens

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with self.broker:
            self._process.terminate()
            self._process.wait()
            self._process.stdout.close()
        self._folder.cleanup()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
