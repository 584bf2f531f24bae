"""Machines without GHC for the tests of remote interpreters, and connections to them that are slow or break.

A machine is an empty root directory with namespaces of its own: it has /proc, /dev/null, /tmp and the directory that
`cmake --install BUILD --component target` makes, and neither a GHC nor a library.
"""

import fcntl
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time

import support

LOADER = "/lib64/ld-linux-x86-64.so.2"
BUILD = pathlib.Path(support.OURS).resolve().parents[1]


def target_directory():
    """The directory to copy to a target; made anew if a program in it is not the build's."""
    directory = BUILD / "target-directory"
    with open(BUILD / "target-directory.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        sources = [path for path in (*BUILD.glob("iserv/*"), *BUILD.glob("ghc-*/*")) if path.is_file()]
        newest = max(path.stat().st_mtime for path in sources)
        signature = directory / "made"
        if not signature.exists() or signature.stat().st_mtime < newest:
            script = pathlib.Path(__file__).resolve().parents[2] / "ways" / "install-target"
            subprocess.run([script, "--from", BUILD, "--to", directory], check=True)
            signature.touch()
    return directory


class Machine:
    """A machine in a directory of a workspace.

    `network` says whether it shares this one's loopback interface, `share` whether its compiles share interpreters,
    `user` as whom it runs, and `libraries` which libraries of this one's system it has.
    """

    def __init__(self, workspace, name="machine", network=False, cache_bytes=None, share=True, user=None, libraries=()):
        self.workspace = workspace
        self.root = workspace.root / name
        for part in ("proc", "dev", "tmp", "target", "cache"):
            (self.root / part).mkdir(parents=True)
        (self.root / "dev" / "null").touch()
        for library in libraries:
            for directory in ("/lib", "/usr/lib"):
                for found in pathlib.Path(directory).glob(f"*-linux-gnu/{library}"):
                    target = self.root / found.parent.relative_to("/")
                    target.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(found, target / library)
        self.cache = self.root / "cache"
        self._enter = workspace.root / f"enter-{name}"
        namespaces = ["-m", "-p", "-i", "-u", "-f", "--kill-child"] + ([] if network else ["-n"])
        if os.geteuid() != 0:
            namespaces = ["-U", "-r", *namespaces]
        enter = f'exec chroot {self.root} /target/splicehost-target "$@"'
        if user is not None:
            # chroot() and user namespaces do not go together, so the root directory is changed by moving mounts.
            enter = (f"mount --rbind {self.root} {self.root}\ncd {self.root}\nmkdir -p old\npivot_root . old\n"
                     f'exec /old{os.path.realpath(LOADER)} --library-path /old/lib/x86_64-linux-gnu:/old/usr/lib/x86_64-linux-gnu /old/usr/bin/setpriv --reuid {user} --regid {user} --clear-groups '
                     '/target/splicehost-target "$@"')
            os.chmod(workspace.root, 0o755)
            os.chmod(self.root / "tmp", 0o1777)
            os.chown(self.cache, user, user)
        size = f"mount -t tmpfs -o size={cache_bytes} cache {self.cache}\n" if cache_bytes else ""
        self._enter.write_text(
            "#!/bin/sh\n"
            f"exec unshare {' '.join(namespaces)} sh -c '\n"
            "set -e\n"
            f"{'unset ISERV_SHARE' if share else 'export ISERV_SHARE=off'}\n"
            f"mount -t proc proc {self.root}/proc\n"
            f"mount --bind /dev/null {self.root}/dev/null\n"
            f"if [ ! -e {self.root}/target/splicehost-target ]; then\n"
            f"  mount --bind {target_directory()} {self.root}/target\n"
            "fi\n"
            f"{size}"
            f"cd /\n"
            f"{enter}' sh --cache /cache/splicehost \"$@\"\n",
            encoding="utf-8")
        self._enter.chmod(0o755)
        self._listener = None
        self._user = user

    def own_target(self):
        """Gives it a directory of its own, in place of the one that all have; the directory."""
        shutil.rmtree(self.root / "target")
        shutil.copytree(target_directory(), self.root / "target", symlinks=True, copy_function=os.link)
        return self.root / "target"

    def bring(self, *files):
        """Copies files to its directory /keys."""
        (self.root / "keys").mkdir(exist_ok=True)
        for file in files:
            shutil.copy2(file, self.root / "keys")

    def command(self, *options):
        """The command whose standard input and output lead to it."""
        return " ".join(shlex.quote(str(word)) for word in (self._enter, *options))

    def listen(self, where, *options):
        """Has it listen; returns when it does."""
        self._listener = self.workspace.start(self._enter, "--listen", where, *options, stdout=subprocess.PIPE)
        line = self._listener.stdout.readline().decode()
        if "listening" not in line:
            raise AssertionError(f"it does not listen on {where}: {line!r}, status {self._listener.wait()}")

    def listen_here(self, *options):
        """Has it listen on a socket that is seen from here; returns what to give to --via."""
        self.listen("unix:/tmp/target.socket", *options)
        return f"unix:{self.root}/tmp/target.socket"

    def stop(self):
        if self._listener is not None:
            # unshare(1) ignores gentler signals, and takes its child along.
            self._listener.kill()
            self._listener.stdout.close()
            if self._user is not None:
                # Who becomes another user does not go with its parent.
                for pid, words in self.workspace.processes().items():
                    if words.startswith("/target/splicehost-target"):
                        support.send_signal(pid, signal.SIGKILL)
            self._listener.wait()
            self._listener = None

    def contents(self):
        """{digest: [paths]} of what its cache has."""
        directory = self.cache / "splicehost" / "content"
        if not directory.exists():
            return {}
        return {entry.name: sorted(entry.iterdir()) for entry in directory.iterdir()}


class Proxy:
    """A connection between a Unix socket here and another one, or a TCP port, that counts, and can delay or break."""

    def __init__(self, directory, via, delay=0.0, cut_after=None, cut_at=None):
        self._via = via
        self._delay = delay
        self._cut_after = cut_after  # bytes to the target
        self._cut_at = cut_at        # seconds
        self.path = str(pathlib.Path(directory) / f"proxy-{time.monotonic_ns()}.socket")
        self.via = f"unix:{self.path}"
        self.sent = 0      # bytes to the target
        self.received = 0  # and from it
        self.turns = 0     # how often the front end has said something after it had heard something
        self.log = []      # (seconds, direction, bytes)
        self._last = None
        self._lock = threading.Lock()
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.path)
        self._server.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._server.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            target = self._connect()
            started = time.monotonic()
            for source, sink, outward in ((client, target, True), (target, client, False)):
                threading.Thread(target=self._relay, args=(source, sink, outward, started), daemon=True).start()
            if self._cut_at is not None:
                threading.Timer(self._cut_at, self._cut, (client, target)).start()

    def _connect(self):
        kind, _, where = self._via.partition(":")
        if kind == "unix":
            target = socket.socket(socket.AF_UNIX)
            target.connect(where)
        else:
            host, _, port = where.rpartition(":")
            target = socket.create_connection((host, int(port)))
            target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return target

    def _relay(self, source, sink, outward, started):
        queue = []
        ready = threading.Condition()

        def deliver():
            delivered = 0
            while True:
                with ready:
                    while not queue:
                        ready.wait()
                    due, data = queue.pop(0)
                time.sleep(max(0, due - time.monotonic()))
                if not outward and data:
                    # The front end hears it now.
                    with self._lock:
                        self._last = "received"
                        self.log.append((time.monotonic() - started, "<", len(data)))
                try:
                    if not data:
                        sink.shutdown(socket.SHUT_WR)
                        return
                    sink.sendall(data)
                except OSError:
                    return
                delivered += len(data)
                if outward and self._cut_after is not None and delivered >= self._cut_after:
                    # A reset takes with it what the target has not read yet, so it is given the time to.
                    time.sleep(1)
                    self._cut(source, sink)

        threading.Thread(target=deliver, daemon=True).start()
        while True:
            try:
                data = source.recv(1 << 16)
            except OSError:
                data = b""
            if data:
                with self._lock:
                    if outward:
                        self.sent += len(data)
                        if self._last == "received":
                            self.turns += 1
                        self._last = "sent"
                        self.log.append((time.monotonic() - started, ">", len(data)))
                    else:
                        self.received += len(data)
            with ready:
                queue.append((time.monotonic() + self._delay, data))
                ready.notify()
            if not data:
                return

    @staticmethod
    def _cut(*ends):
        for end in ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
                end.close()
            except OSError:
                pass


def free_port():
    """A TCP port that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_certificate(directory, name, address="127.0.0.1"):
    """A certificate that stands for itself, and its key: (certificate, key)."""
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=target", "-addext", f"subjectAltName=IP:{address}",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key
