#!/usr/bin/env python3
"""Runs a command where system calls are denied to all processes, as in a container: denied.py NAME[,NAME] COMMAND...

It is the first process of its namespace, which has the filter that all others have.
"""

import ctypes
import os
import struct
import subprocess
import sys

NUMBERS = {"socket": 41, "bind": 49, "memfd_create": 319, "signalfd4": 289}
"""On x86-64 (asm/unistd_64.h)."""

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD_NUMBER, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, DENY = 0x7fff0000, 0x00050000 | 1  # EPERM


class Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_ushort), ("code", ctypes.c_char_p)]


def deny(names):
    code = struct.pack("HBBI", LOAD_NUMBER, 0, 0, 0)
    for name in names:
        code += struct.pack("HBBI", IF_EQUAL, 0, 1, NUMBERS[name]) + struct.pack("HBBI", RETURN, 0, 0, DENY)
    code += struct.pack("HBBI", RETURN, 0, 0, ALLOW)
    program = Program(len(code) // 8, code)
    libc = ctypes.CDLL(None, use_errno=True)
    if (libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) != 0):
        sys.exit(f"no filter: {os.strerror(ctypes.get_errno())}")


def command(names, *words):
    """The words of a command that does that."""
    namespaces = ["--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        namespaces = ["--user", "--map-root-user", *namespaces]
    return ("unshare", *namespaces, sys.executable, __file__, ",".join(names), *words)


if __name__ == "__main__":
    deny(sys.argv[1].split(","))
    sys.exit(subprocess.run(sys.argv[2:], check=False).returncode)
