"""^C, a request to end and GHC's death are noticed at once, whatever a front end is waiting for; and nothing stays."""

import os
import pathlib
import select
import signal
import socket
import subprocess
import threading
import time
import unittest

from remote import Proxy, free_port, make_certificate
from support import GHC, OURS, VANILLA, expand, external, for_each, send_signal
from test_remote import RemoteTest
from test_sharing import SharingTest

SECONDS = 3
"""How long it may take; on a quiet machine it is a tenth of that."""

SLOW_LIBRARY = """
#include <unistd.h>
__attribute__((constructor)) static void start(void) { if (write(2, "loading\\n", 8) == 8) sleep(100); }
"""

ENDLESS_LIBRARY = """
#include <unistd.h>
__attribute__((destructor)) static void end(void) { if (write(2, "ending\\n", 7) == 7) for (;;) sleep(100); }
"""

SUBJECT = """
{-# LANGUAGE TemplateHaskell #-}
module Subject where
import Control.Concurrent
import Language.Haskell.TH.Syntax
import System.IO
n :: Int
n = $(runIO (hPutStrLn stderr "running" >> threadDelay 100000000) >> lift (1 :: Int))
"""

ENDS = ("interrupt", "request", "death")
"""^C, as a terminal gives it to all; SIGTERM for the front end; kill -9 for GHC."""

PHASES = ("loading", "running")


@expand
class WaitTest:
    """What begins a compile, ends it somehow, and sees what is left."""

    def begin(self, phase, *flags):
        """Starts GHC, and returns when its interpreter is in this phase."""
        if phase == "idle":
            ghc = self.workspace.start(GHC, *external(OURS), *flags, "--interactive", "-v0", "-ignore-dot-ghci",
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            self.addCleanup(ghc.stdin.close)
            said, word = ghc.stdout, b"42\n"
            ghc.stdin.write(b"6 * 7\n")
            ghc.stdin.flush()
        else:
            self.workspace.write("Subject.hs", SUBJECT.replace("threadDelay 100000000", "pure ()")
                                 if phase == "ending" else SUBJECT)
            if phase in ("loading", "ending"):
                self.workspace.write("slow.c", SLOW_LIBRARY if phase == "loading" else ENDLESS_LIBRARY)
                self.assertEqual(self.workspace.run("gcc", "-shared", "-fPIC", "slow.c", "-o", "libslow.so").status, 0)
                flags = (*flags, f"-L{self.workspace.cwd}", "-lslow")
            ghc = self.workspace.start(GHC, *external(OURS), *flags, "-c", "-fforce-recomp", "Subject.hs",
                                       stderr=subprocess.PIPE)
            said, word = ghc.stderr, f"{phase}\n".encode()
        self.addCleanup(said.close)
        line = said.readline()
        while line and line != word:
            line = said.readline()
        self.assertEqual(line, word)
        time.sleep(0.2)
        return ghc

    def begin_connecting(self, *flags, prefix=()):
        """Starts GHC whose front end does not come far."""
        self.workspace.write("Subject.hs", SUBJECT)
        ghc = self.workspace.start(*prefix, GHC, *external(OURS), *flags, "-c", "-fforce-recomp", "Subject.hs",
                                   stderr=subprocess.DEVNULL)
        self.assertTrue(self.wait_until(lambda: self.front_end(ghc), 10), "there is no front end")
        time.sleep(0.4)
        return ghc

    def end(self, ghc, how):
        """Ends it; fails if the front end, or anything else of it, is there a second later."""
        front_end = self.front_end(ghc)
        self.assertTrue(front_end, "it has ended already")
        if how == "interrupt":
            os.killpg(ghc.pid, signal.SIGINT)
        elif how == "request":
            send_signal(front_end, signal.SIGTERM)
        else:
            ghc.kill()
        began = time.monotonic()
        self.assertTrue(self.wait_until(lambda: not self.left(front_end), SECONDS),
                        f"left after {SECONDS} s: {self.left(front_end)}")
        # GHC itself may take its time.
        if how == "request":
            ghc.kill()
        ghc.wait(10)
        return time.monotonic() - began

    def left(self, front_end):
        """What is there of it."""
        return {pid: words for pid, words in self.workspace.processes().items()
                if pid == front_end or "--fd" in words or words.startswith((OURS, "sleep", "sh -c sleep"))}

    def front_end(self, ghc):
        # What it has forked is like it.
        return min((pid for pid, words in self.workspace.processes().items() if words.startswith(OURS + " ")), default=None)

    @staticmethod
    def wait_until(condition, seconds):
        deadline = time.monotonic() + seconds
        while not (found := condition()) and time.monotonic() < deadline:
            time.sleep(0.01)
        return found

    def flags(self):
        """GHC's, so that the interpreter is where it is to be."""
        return ()

    @for_each(phase=PHASES, how=ENDS)
    def test(self, phase, how):
        self.end(self.begin(phase, *self.flags()), how)

    @for_each(how=("request", "death"))
    def test_idle(self, how):
        self.end(self.begin("idle", *self.flags()), how)


class OnThisMachine(WaitTest):
    def test_what_was_defined_at_the_prompt_is_kept(self):
        """At GHCi's prompt a load goes on after ^C, as with GHC's own interpreter."""
        self.workspace.write("slow.c", SLOW_LIBRARY.replace("100", "2"))
        self.assertEqual(self.workspace.run("gcc", "-shared", "-fPIC", "slow.c", "-o", "libslow.so").status, 0)
        ghci = self.workspace.start(GHC, *external(OURS), "--interactive", "-v0", "-ignore-dot-ghci", stdin=subprocess.PIPE,
                                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for stream in (ghci.stdin, ghci.stdout, ghci.stderr):
            self.addCleanup(stream.close)

        def type_in(line):
            ghci.stdin.write(line)
            ghci.stdin.flush()

        type_in(b"x <- return 41\nprint x\n")
        self.assertEqual(ghci.stdout.readline(), b"41\n")
        type_in(f":set -L{self.workspace.cwd} -lslow\n".encode())
        while ghci.stderr.readline() not in (b"loading\n", b""):
            pass
        time.sleep(0.3)
        os.killpg(ghci.pid, signal.SIGINT)
        time.sleep(3)
        type_in(b"print (x + 1)\n")
        self.assertEqual(ghci.stdout.readline(), b"42\n")
        ghci.stdin.close()
        ghci.wait(10)

    def test_exit_handlers(self):
        """Otherwise they have ten seconds."""
        self.end(self.begin("ending"), "interrupt")


class Direct(OnThisMachine, SharingTest):
    def setUp(self):
        super().setUp()
        self.workspace.env["ISERV_SHARE"] = "off"


@expand
class Shared(OnThisMachine, SharingTest):
    stopped = ()
    """Processes that cannot do what they should."""

    def left(self, front_end):
        sessions = () if self.stopped else self.status().sessions
        return {**super().left(front_end), **{session.pid: "a session" for session in sessions}}

    @for_each(how=ENDS)
    def test_zygotes_that_hang(self, how):
        """A session is awaited for some seconds."""
        self.end(self.begin("running"), "death")
        zygotes = [zygote.pid for zygote in self.status().zygotes]
        self.stopped = zygotes + [pid for pid, process in self.living().items() if process.parent in zygotes]
        for pid in self.stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            self.end(self.begin_connecting(), how)
        finally:
            for pid in self.stopped:
                send_signal(pid, signal.SIGCONT)


class Stalled(Proxy):
    """A connection that takes so many bytes and then no more."""

    def __init__(self, directory, via, most):
        self._most = most
        self.is_full = threading.Event()
        super().__init__(directory, via)

    def _relay(self, source, sink, outward, started):
        if not outward:
            return super()._relay(source, sink, outward, started)
        left = self._most
        while left > 0 and (data := source.recv(min(left, 1 << 16))):
            sink.sendall(data)
            left -= len(data)
        self.is_full.set()
        # What is in between is not read; that nobody is there any more is passed on.
        hang_up = select.poll()
        hang_up.register(source, select.POLLRDHUP)
        hang_up.poll()
        return self._cut(source, sink)


@expand
class Remote(WaitTest, RemoteTest):
    def flags(self):
        return ("-opti--via", f"-opti{self.machine(share=False).listen_here()}")

    @for_each(how=ENDS)
    def test_uploading(self, how):
        """The connection takes nothing any more, in the midst of libraries."""
        self.workspace.copy_modules("lens")
        proxy = Stalled(self.workspace.root, self.machine(share=False).listen_here(), 1 << 20)
        self.proxies.append(proxy)
        ghc = self.workspace.start(GHC, *external(OURS), "-opti--via", f"-opti{proxy.via}", "-c", "-fforce-recomp",
                                   "Lenses.hs", stderr=subprocess.DEVNULL)
        self.assertTrue(proxy.is_full.wait(30))
        time.sleep(0.5)
        self.assertLess(self.end(ghc, how), 5)

    @for_each(how=ENDS)
    def test_a_command_that_does_not_answer(self, how):
        self.end(self.begin_connecting("-opti--via", "-optisleep 12345"), how)

    @for_each(kind=("unix", "tcp"), how=ENDS)
    def test_a_listener_that_does_not_answer(self, kind, how):
        """It does not accept, or it does not shake hands."""
        self.end(self.begin_connecting(*self.silent_listener(kind)), how)

    @for_each(how=ENDS)
    def test_a_name_server_that_does_not_answer(self, how):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(server.close)
        # Other tests may be running.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            server.bind(("127.0.0.53", 53))
        except PermissionError:
            self.skipTest("only root may be a name server")
        servers = self.workspace.root / "resolv.conf"
        servers.write_text("nameserver 127.0.0.53\n", encoding="ascii")
        script = f"mount --bind {servers} $(realpath /etc/resolv.conf) && exec \"$@\""
        ghc = self.begin_connecting("-opti--via", "-optitcp:nowhere.example:99", *self.token(), "-opti--certificate",
                                    f"-opti{servers}", prefix=("unshare", "-m", "sh", "-c", script, "sh"))
        self.end(ghc, how)

    def silent_listener(self, kind):
        listener = socket.socket(socket.AF_UNIX if kind == "unix" else socket.AF_INET)
        self.addCleanup(listener.close)
        if kind == "unix":
            path = str(self.workspace.root / "silent.socket")
            listener.bind(path)
            listener.listen(0)
            for _ in range(2):
                other = socket.socket(socket.AF_UNIX)
                self.addCleanup(other.close)
                other.setblocking(False)
                other.connect_ex(path)
            return ("-opti--via", f"-optiunix:{path}")
        port = free_port()
        listener.bind(("127.0.0.1", port))
        listener.listen(5)
        certificate, _ = make_certificate(self.workspace.root, "target")
        return ("-opti--via", f"-optitcp:127.0.0.1:{port}", *self.token(), "-opti--certificate", f"-opti{certificate}")

    def token(self):
        token = pathlib.Path(self.workspace.root / "token")
        token.write_text("token", encoding="ascii")
        token.chmod(0o600)
        return ("-opti--token-file", f"-opti{token}")


if __name__ == "__main__":
    unittest.main()
