"""Images of file systems, whose maker chose the files' inodes and times, and loop devices to mount them from."""

import fcntl
import os
import pathlib
import random
import stat
import subprocess
import time

LOOP_MAJOR, CONTROL = 7, (10, 237)
CTL_ADD, CTL_REMOVE = 0x4C80, 0x4C81
"""Of linux/loop.h."""

TIME = "20010909014640"


def run(*command):
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


class LoopDevice:
    """A loop device that nobody else uses; for root."""

    def __init__(self):
        control = self._node("loop-control", stat.S_IFCHR, CONTROL)
        with open(control, "rb") as opened:
            while True:
                # Those that losetup(8) would choose for others have low numbers.
                self._number = random.randrange(1000, 100_000)
                try:
                    fcntl.ioctl(opened, CTL_ADD, self._number)
                    break
                except FileExistsError:
                    pass
        self._control = control
        self.path = self._node(f"loop{self._number}", stat.S_IFBLK, (LOOP_MAJOR, self._number))
        self.attached = False

    @staticmethod
    def _node(name, kind, device):
        path = pathlib.Path("/dev") / name
        if not path.exists():
            # /dev has only some of the kernel's devices in a container.
            os.mknod(path, kind | 0o600, os.makedev(*device))
        return path

    def attach(self, image, seconds=0):
        """Waits for so long until nobody has it any more, such as a mount namespace that is just being left."""
        deadline = time.monotonic() + seconds
        while not self.attached:
            try:
                run("losetup", self.path, image)
                self.attached = True
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def detach(self):
        if self.attached:
            run("losetup", "--detach", self.path)
        self.attached = False

    def remove(self):
        self.detach()
        with open(self._control, "rb") as opened:
            try:
                fcntl.ioctl(opened, CTL_REMOVE, self._number)
            except OSError:
                # Somebody has still something mapped that is in it. It does no harm.
                pass


def make_image(path, directory):
    """An ext4 of what is in a directory."""
    size = sum(file.lstat().st_size for file in directory.rglob("*"))
    path.write_bytes(b"")
    os.truncate(path, size + (8 << 20))
    run("mkfs.ext4", "-q", "-O", "^has_journal", "-d", directory, path)


def set_times(path, file):
    """Gives a file in an image, named from its root, times that say nothing."""
    fields = "".join(f"set_inode_field /{file} {time} {TIME}\nset_inode_field /{file} {time}_extra 0\n"
                     for time in ("ctime", "mtime"))
    commands = path.with_name(path.name + ".debugfs")
    commands.write_text(fields, encoding="ascii")
    run("debugfs", "-w", "-f", commands, path)
