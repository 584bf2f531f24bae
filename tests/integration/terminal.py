"""A program on a pseudo-terminal, and a user who types and reads."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time


class Terminal:
    """A terminal window with one program in it, which leads the terminal's session."""

    def __init__(self, workspace, *command):
        self.fd, follower = pty.openpty()
        self.text = ""
        self.seen = 0
        self.process = workspace.start(*command, stdin=follower, stdout=follower, stderr=follower,
                                       preexec_fn=take_terminal)
        os.close(follower)

    def type(self, text):
        os.write(self.fd, text.encode())

    def press_control_c(self):
        self.type("\x03")

    def press_control_d(self):
        self.type("\x04")

    def wait_for(self, text, seconds=30):
        """Reads until the text appears after all that was waited for before."""
        deadline = time.monotonic() + seconds
        while text not in self.text[self.seen:]:
            if not self._read(deadline):
                raise AssertionError(f"{text!r} did not appear; the terminal shows:\n{self.text}")
        self.seen = self.text.index(text, self.seen) + len(text)

    def wait_until_quiet(self, seconds=0.5):
        """Reads until nothing has been written for a while: at the prompt GHC's own, late interrupt gives a second one,
        and what is typed before that is lost."""
        while self._read(time.monotonic() + seconds):
            pass
        self.seen = len(self.text)

    def ends_before(self, text, seconds=30):
        """Whether the program ends, and not the text appears after all that was waited for before."""
        try:
            self.wait_for(text, seconds)
            return False
        except AssertionError:
            self.wait_for_end()
            return True

    def wait_for_end(self, seconds=10):
        """Reads until the program has ended; returns its exit status."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        try:
            return self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end within {seconds} s; the terminal shows:\n{self.text}")

    def close(self):
        os.close(self.fd)

    def _read(self, deadline):
        """Takes what has been written; False at the end or when the time is over."""
        ready, _, _ = select.select([self.fd], [], [], max(0, deadline - time.monotonic()))
        try:
            data = os.read(self.fd, 65536) if ready else b""
        except OSError:
            data = b""
        self.text += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)


def take_terminal():
    """Makes standard input the controlling terminal, so that ^C typed there reaches the group, and its hang-up."""
    # Whoever started the tests may have it ignored, as nohup does.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
