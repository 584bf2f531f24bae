"""Runs a command confined as containers and sandboxes do it. Needs root: others give up more by it.

  confine.py landlock DIRECTORY COMMAND...   in a Landlock domain: no file below DIRECTORY can be read
  confine.py seccomp COMMAND...           with a filter: acct(2), which nobody needs here, fails with EDQUOT
  confine.py keyring COMMAND...           with a session keyring of its own
"""

import ctypes
import errno
import os
import platform
import struct
import sys

# linux/landlock.h; the numbers of system calls are the same on all machines.
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
LANDLOCK_CREATE_RULESET_VERSION = 1
LANDLOCK_RULE_PATH_BENEATH = 1
ACCESS_READ_FILE = 1 << 2

# linux/seccomp.h, linux/filter.h
SECCOMP_SET_MODE_FILTER = 1
SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO = 0x7FFF0000, 0x00050000
BPF_LD_W_ABS, BPF_JEQ_K, BPF_RET_K = 0x20, 0x15, 0x06
SECCOMP, ACCT, KEYCTL = {"x86_64": (317, 163, 250), "aarch64": (277, 89, 219)}.get(platform.machine(), (-1, -1, -1))

KEYCTL_JOIN_SESSION_KEYRING = 1  # linux/keyctl.h

libc = ctypes.CDLL(None, use_errno=True)


def system_call(*arguments):
    result = libc.syscall(*arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def enter_landlock(secret):
    """From now on no file of the directory can be read; all others can."""
    attributes = struct.pack("Q", ACCESS_READ_FILE)
    rules = system_call(LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    # There are only permissions: of each directory on the way down, for all but the next one; not for what links lead to.
    path = "/"
    for name in os.path.realpath(secret).strip("/").split("/"):
        for entry in os.scandir(path):
            if entry.name != name:
                permit(rules, entry.path)
        path = os.path.join(path, name)
    system_call(LANDLOCK_RESTRICT_SELF, rules, 0)
    os.close(rules)


def permit(rules, path):
    try:
        fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return  # it is gone
    rule = struct.pack("=Qi", ACCESS_READ_FILE, fd)
    try:
        system_call(LANDLOCK_ADD_RULE, rules, LANDLOCK_RULE_PATH_BENEATH, rule, 0)
    except OSError as error:
        if error.errno not in (errno.EBADFD, errno.EINVAL):  # of file systems that are not rooted, such as pipes'
            raise
    finally:
        os.close(fd)


def filter_acct():
    program = [(BPF_LD_W_ABS, 0, 0, 0), (BPF_JEQ_K, 0, 1, ACCT),
               (BPF_RET_K, 0, 0, SECCOMP_RET_ERRNO | errno.EDQUOT), (BPF_RET_K, 0, 0, SECCOMP_RET_ALLOW)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    description = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program), ctypes.addressof(code)))
    system_call(SECCOMP, SECCOMP_SET_MODE_FILTER, 0, description)


def obstacle(kind):
    """Why this kernel, or whoever confines this process, does not let it be confined so; None if it does."""
    if os.geteuid() != 0:
        return f"{kind}: only root is confined by that and by nothing else"
    try:
        if kind == "landlock":
            system_call(LANDLOCK_CREATE_RULESET, None, 0, LANDLOCK_CREATE_RULESET_VERSION)
        elif SECCOMP < 0:
            return f"no numbers of system calls of {platform.machine()} here"
    except OSError as error:
        return f"{kind}: {error.strerror}"
    return None


def main():
    kind, *command = sys.argv[1:]
    if kind == "landlock":
        enter_landlock(command.pop(0))
    elif kind == "seccomp":
        filter_acct()
    else:
        system_call(KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, None)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
