"""Describes the machine, as far as it matters to who reads the figures."""

import os
import platform
from pathlib import Path


def _field(path, name):
    """The value of the first `name: value` line of a file under /proc."""
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "unknown"


def describe():
    """A list of (what, value)."""
    memory_kib = int(_field("/proc/meminfo", "MemTotal").split()[0])
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "unknown")
    return [("CPU", _field("/proc/cpuinfo", "model name")),
            ("cores", str(os.cpu_count())),
            ("memory", f"{memory_kib / 2**20:.1f} GiB"),
            ("system", f"{system}, Linux {platform.release()}, {platform.machine()}")]
