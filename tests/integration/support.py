"""What the integration tests share: which programs to run, in which ways, and where.

The environment says what is tested:

  SPLICEHOST_ISERV   the interpreter to test, without the suffix of a way (required)
  SPLICEHOST_GHC     the compiler that uses it (default: ghc)
  SPLICEHOST_WAYS    the ways to test, comma-separated (default: vanilla,profiling,dynamic)
"""

import dataclasses
import functools
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import uuid

GHC = os.environ.get("SPLICEHOST_GHC", "ghc")
MODULES = pathlib.Path(__file__).resolve().parent / "modules"

MARK = "SPLICEHOST_TEST"
"""Environment variable by which a test knows the processes it is responsible for."""

COMMAND_TIMEOUT = 120
"""Seconds after which a command that should have ended is taken to hang."""


@dataclasses.dataclass(frozen=True)
class Way:
    """A way of compiling: the flags that select it and the suffix GHC gives the interpreter."""

    name: str
    suffix: str
    flags: tuple
    object_suffix: str


VANILLA = Way("vanilla", "", (), "o")
PROFILING = Way("profiling", "-prof", ("-prof", "-osuf", "p_o", "-hisuf", "p_hi"), "p_o")
DYNAMIC = Way("dynamic", "-dyn", ("-dynamic", "-osuf", "dyn_o", "-hisuf", "dyn_hi"), "dyn_o")
ALL_WAYS = (VANILLA, PROFILING, DYNAMIC)


def _selected_ways():
    by_name = {way.name: way for way in ALL_WAYS}
    names = os.environ.get("SPLICEHOST_WAYS")
    if not names:
        return ALL_WAYS
    unknown = set(names.split(",")) - set(by_name)
    if unknown:
        raise RuntimeError(f"SPLICEHOST_WAYS: no such way: {', '.join(sorted(unknown))}; "
                           f"there are {', '.join(by_name)}")
    return tuple(by_name[name] for name in names.split(","))


def _interpreter_under_test():
    path = os.environ.get("SPLICEHOST_ISERV")
    if not path:
        raise RuntimeError("set SPLICEHOST_ISERV to the interpreter to test, e.g. "
                           "SPLICEHOST_ISERV=$PWD/build/ghc-9.0.2/iserv")
    path = os.path.abspath(path)
    missing = [path + way.suffix for way in WAYS if not os.access(path + way.suffix, os.X_OK)]
    if missing:
        raise RuntimeError(f"not an executable file: {', '.join(missing)}")
    return path


WAYS = _selected_ways()
OURS = _interpreter_under_test()


@functools.lru_cache(maxsize=None)
def peer():
    """The interpreter that GHC brings along, without the suffix of a way."""
    libdir = subprocess.run([GHC, "--print-libdir"], check=True, capture_output=True, text=True)
    directory = pathlib.Path(libdir.stdout.strip())
    # GHCs since 9.4 have their programs beside their libraries' directory, wherever they look for them.
    for found in (directory / "bin" / "ghc-iserv", directory.parent / "bin" / "ghc-iserv"):
        if found.exists():
            return str(found)
    raise RuntimeError(f"GHC's own interpreter is neither in {directory}/bin nor in {directory.parent}/bin")


@functools.lru_cache(maxsize=None)
def ghc_version():
    """The compiler's version as numbers, such as (9, 0, 2)."""
    said = subprocess.run([GHC, "--numeric-version"], check=True, capture_output=True, text=True)
    return tuple(int(part) for part in said.stdout.strip().split("."))


def for_each(**parameters):
    """Makes a test method one per value: ``@for_each(way=WAYS)`` gives test_x_vanilla and so on.

    Use together with `expand`; a value's name is its ``name`` or its text.
    """
    def mark(method):
        method.parameters = getattr(method, "parameters", []) + list(parameters.items())
        return method
    return mark


def expand(cls):
    """Class decorator: replaces each `for_each` method by one method per combination of values."""
    for name, method in list(vars(cls).items()):
        if hasattr(method, "parameters"):
            delattr(cls, name)
            for suffix, arguments in _combinations(method.parameters):
                setattr(cls, name + suffix, _bind(method, name + suffix, arguments))
    return cls


def _combinations(parameters):
    if not parameters:
        yield "", {}
        return
    (key, values), *rest = parameters
    for value in values:
        label = re.sub(r"\W+", "_", str(getattr(value, "name", value)))
        for suffix, arguments in _combinations(rest):
            yield f"_{label}{suffix}", {key: value, **arguments}


def _bind(method, name, arguments):
    @functools.wraps(method)
    def bound(self):
        return method(self, **arguments)
    bound.__name__ = name
    del bound.__dict__["parameters"]
    return bound


@dataclasses.dataclass(frozen=True)
class Finished:
    """A command that has ended: its exit status (negative: the signal), output and duration."""

    command: tuple
    status: int
    stdout: str
    stderr: str
    seconds: float

    def __str__(self):
        return (f"{' '.join(map(str, self.command))}\n  exit status {self.status} "
                f"after {self.seconds:.2f} s\n-- stdout:\n{self.stdout}\n-- stderr:\n{self.stderr}")


class Workspace:
    """A private directory to work in, an environment to match, and the processes started from it."""

    def __init__(self, own_broker=False):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="splicehost-test-"))
        self.mark = uuid.uuid4().hex
        self.cwd = self._directory("work")
        self.tmp = self._directory("tmp")
        self.runtime = self._directory("runtime")
        self.env = dict(os.environ, LANG="C.UTF-8", LC_ALL="C.UTF-8", TERM="dumb",
                        HOME=str(self._directory("home")), TMPDIR=str(self.tmp),
                        XDG_RUNTIME_DIR=str(self.runtime), **{MARK: self.mark})
        if not own_broker:
            # With one broker for all tests, or with none.
            shared = os.environ.get("SPLICEHOST_SHARED_RUNTIME")
            self.env.update({"XDG_RUNTIME_DIR": shared} if shared else {"ISERV_SHARE": "off"})

    def _directory(self, name):
        directory = self.root / name
        directory.mkdir(mode=0o700)
        return directory

    def write(self, name, text):
        """Writes a file below the working directory and returns its name."""
        path = self.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return name

    def copy_modules(self, project):
        """Copies a directory of `modules/` to be the working directory's content."""
        shutil.copytree(MODULES / project, self.cwd, dirs_exist_ok=True)

    def start(self, *command, **options):
        """Starts a command in a process group of its own, from the working directory."""
        options = {"cwd": self.cwd, "env": self.env, "start_new_session": True,
                   "stdin": subprocess.DEVNULL, **options}
        return subprocess.Popen([str(word) for word in command], **options)

    def run(self, *command, stdin="", timeout=COMMAND_TIMEOUT):
        """Runs a command to its end; a hang is an AssertionError that shows the output so far."""
        started = time.monotonic()
        process = self.start(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE)
        try:
            stdout, stderr = process.communicate(stdin.encode(), timeout)
            hung = False
        except subprocess.TimeoutExpired:
            self.kill_processes()
            stdout, stderr = process.communicate()
            hung = True
        finished = Finished(command, process.returncode, stdout.decode(errors="replace"),
                            stderr.decode(errors="replace"), time.monotonic() - started)
        if hung:
            raise AssertionError(f"no end within {timeout} s: {finished}")
        return finished

    def ghc(self, iserv, *arguments, **options):
        """Runs GHC with the given interpreter."""
        return self.run(GHC, *external(iserv), *arguments, **options)

    def processes(self):
        """The living processes started from here, directly or not: {pid: command line}."""
        found = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and self._is_marked(entry):
                found[int(entry.name)] = _command_line(entry)
        return found

    def _is_marked(self, entry):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            return False
        return f"{MARK}={self.mark}".encode() in environment.split(b"\0")

    def kill_processes(self):
        for pid in self.processes():
            send_signal(pid, signal.SIGKILL)

    def wait_until_empty(self, seconds):
        """Waits for all processes to end; returns those still alive after the given time."""
        deadline = time.monotonic() + seconds
        while True:
            alive = self.processes()
            if not alive or time.monotonic() > deadline:
                return alive
            time.sleep(0.02)

    def remove(self):
        shutil.rmtree(self.root, ignore_errors=True)


def send_signal(pid, number):
    """False if there is no such process any more."""
    try:
        os.kill(pid, number)
        return True
    except ProcessLookupError:
        return False


def external(iserv):
    """The GHC flags that select an external interpreter."""
    return ("-fexternal-interpreter", "-pgmi", iserv)


def _command_line(entry):
    try:
        return (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


class IntegrationTest(unittest.TestCase):
    """A test with a workspace, that fails if any process of the workspace outlives it."""

    maxDiff = None
    longMessage = True
    own_broker = False
    """Whether the test's GHCs have a broker of their own."""

    def setUp(self):
        self.workspace = Workspace(self.own_broker)
        self.addCleanup(self._clean_up)

    def _clean_up(self):
        alive = self.workspace.wait_until_empty(1)
        self.workspace.kill_processes()
        self.workspace.remove()
        self.assertFalse(alive, "processes left behind by the test")

    def new_workspace(self):
        """Another empty workspace, for a second run that must not see the first one's files."""
        self._clean_up()
        self.workspace = Workspace(self.own_broker)
        return self.workspace
