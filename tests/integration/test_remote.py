"""Splices run on another machine: one that has no GHC, no libraries, and a root directory of its own."""

import hashlib
import os
import pathlib
import random
import re
import signal
import socket
import subprocess
import time
import unittest

import wire
from pipes import Driven
from projects import PROJECTS
from remote import Machine, Proxy, free_port, make_certificate, target_directory
from terminal import Terminal
from support import GHC, OURS, VANILLA, WAYS, DYNAMIC, IntegrationTest, expand, external, for_each, ghc_version, peer

REMOTE_PROJECTS = [project for project in PROJECTS
                   if project.name in ("plain", "literals", "lens", "aeson", "embed", "annotations", "reify", "quoter",
                                       "singletons", "persistent", "cbits", "exports", "unicode", "yesod")]


OURS_DIRECTORY = pathlib.Path(OURS).resolve().parent

CUTS = 30
"""How often a connection is cut."""


class RemoteTest(IntegrationTest):
    """A test whose GHCs have their splices run on a machine."""

    def setUp(self):
        super().setUp()
        self.workspace.env["XDG_CACHE_HOME"] = str(self.workspace.root / "home-cache")
        self.machines = []
        self.proxies = []

    def _clean_up(self):
        for proxy in self.proxies:
            proxy.close()
        for machine in self.machines:
            machine.stop()
        super()._clean_up()

    def machine(self, name="machine", **options):
        machine = Machine(self.workspace, name, **options)
        self.machines.append(machine)
        return machine

    def proxy(self, via, **options):
        proxy = Proxy(self.workspace.root, via, **options)
        self.proxies.append(proxy)
        return proxy

    def compile(self, via, *arguments, way=VANILLA, options=()):
        """`ghc -c` of sources, with splices run there."""
        words = ("--via", str(via), *options)
        return self.workspace.run(GHC, *external(OURS), *(f"-opti{word}" for word in words), *way.flags, "-c",
                                  "-fforce-recomp", *arguments)

    def compile_well(self, via, *arguments, **options):
        done = self.compile(via, *arguments, **options)
        self.assertEqual(done.status, 0, done)
        return done

    def objects(self):
        root = self.workspace.cwd
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*")
                if path.is_file() and re.fullmatch(r"\.(p_|dyn_)?(o|hi)", path.suffix)}

    def library_bytes(self, machine):
        return sum(paths[0].stat().st_size for paths in machine.contents().values()
                   if re.search(r"\.(a|so)$", paths[0].name))


@expand
class IdenticalRemotely(RemoteTest):
    """The same program comes out as with GHC's own interpreter."""

    @for_each(project=REMOTE_PROJECTS)
    @for_each(way=WAYS)
    def test_one_shot(self, project, way):
        self.workspace.copy_modules(project.name)
        # What packages of these need is the system's.
        machine = self.machine(libraries=("libz.so.1",) if project.name in ("persistent", "yesod") else ())
        via = machine.listen_here()
        results = []
        for compile_one in (self.compile_here, lambda *sources, way: self.compile_well(via, *sources, way=way)):
            objects = []
            for source in project.c_sources:
                self.assertEqual(self.workspace.run(GHC, "-c", "-fPIC", source).status, 0)
                objects.append(source.replace(".c", ".o"))
            said = [compile_one(source, *objects, way=way) for source in project.sources]
            results.append((self.objects(), "".join(done.stdout + done.stderr for done in said)))
            for name in results[-1][0]:
                (self.workspace.cwd / name).unlink()
        self.assertEqual(sorted(results[0][0]), sorted(results[1][0]))
        for name, data in results[0][0].items():
            self.assertEqual(data, results[1][0][name], name)
        self.assertEqual(results[0][1], results[1][1])

    def compile_here(self, *sources, way):
        done = self.workspace.run(GHC, *external(peer()), *way.flags, "-c", "-fforce-recomp", *sources)
        self.assertEqual(done.status, 0, done)
        return done


@expand
class Traffic(RemoteTest):
    """What goes over the connection, and how often somebody waits for the other side."""

    @for_each(way=WAYS)
    def test_libraries_travel_once(self, way):
        self.workspace.copy_modules("lens")
        machine = self.machine()
        via = machine.listen_here()
        first = self.proxy(via)
        self.compile_well(first.via, "Lenses.hs", way=way)
        libraries = self.closure_bytes(way)
        self.assertGreater(libraries, 10_000_000)
        print(f"{way.name}: first {first.sent} + {first.received} bytes of {libraries}: "
              f"{(first.sent + first.received) / libraries:.3f}")
        self.assertLessEqual(first.sent + first.received, 0.35 * libraries)
        before = sorted(machine.contents())
        second = self.proxy(via)
        self.compile_well(second.via, "Lenses.hs", way=way)
        print(f"{way.name}: second {second.sent} + {second.received} bytes")
        self.assertLessEqual(second.sent + second.received, 64 << 10)
        self.assertEqual(sorted(machine.contents()), before)

    @for_each(way=WAYS)
    def test_later_compiles_find_libraries_loaded(self, way):
        self.workspace.copy_modules("lens")
        machine = self.machine()
        via = machine.listen_here()
        for _ in range(10):
            self.compile_well(via, "Lenses.hs", way=way)
            (log,) = machine.root.glob("tmp/splicehost-*/*.log")
            said = log.read_text(encoding="utf-8")
            empty = re.findall(r"zygote (\d+) started", said)
            *_, used = re.findall(r"session .* from zygote (\d+) ", said)
            if used not in empty:
                break
        self.assertEqual(len(empty), 1, said)
        self.assertNotIn(used, empty, said)

    def closure_bytes(self, way):
        """The size of the libraries that GHC asks an interpreter for."""
        done = self.workspace.run(GHC, *external(OURS), "-opti-v", *way.flags, "-c", "-fforce-recomp", "Lenses.hs")
        self.assertEqual(done.status, 0, done)
        files = set(re.findall(r'\(load(?:Archive|Dll|Obj) = "(/[^"]*/libHS[^"]*)"\)', done.stderr))
        self.assertGreater(len(files), 30)
        return sum(pathlib.Path(file).stat().st_size for file in files)

    @for_each(way=WAYS)
    def test_loading_waits_little(self, way):
        """With 25 ms each way, and all libraries there, loading lens's packages takes at most 12 round trips."""
        self.workspace.copy_modules("lens")
        # No splice: an expression that needs the package is loaded, and nothing else happens.
        machine = self.machine()
        via = machine.listen_here()
        self.compile_well(via, "Lenses.hs", way=way)
        proxy = self.proxy(via, delay=0.025)
        done = self.compile_well(proxy.via, "Lenses.hs", way=way, options=("-v",))
        loads = [turn for turn in proxy.log]
        # Everything until the first request that is not a load is waited for.
        print(f"{way.name}: {proxy.turns} turns in all, {done.seconds:.2f} s")
        self.assertLessEqual(self.turns_of_loading(done.stderr), 12)

    def turns_of_loading(self, trace):
        """How many requests, up to the last that loads something, were waited for."""
        waited = 0
        last = 0
        which = ""
        for line in trace.splitlines():
            request = re.match(r"\[iserv\] -> +\d+ bytes  \((\w+)", line)
            if request:
                which = request[1]
            took = re.match(r"\[iserv\] +(\d+\.\d+) ms", line)
            if took and float(took[1]) > 40:
                waited += 1
                if which in ("loadArchive", "loadDll", "loadObj", "resolveObjs", "initLinker"):
                    last = waited
        return last


class TcpTest(RemoteTest):
    """A target that listens on TCP."""

    def setUp(self):
        super().setUp()
        self.workspace.copy_modules("plain")
        self.token = self.secret("token", "open sesame")

    def secret(self, name, text):
        path = self.workspace.root / name
        path.write_text(text + "\n", encoding="ascii")
        path.chmod(0o600)
        return path

    def start(self, *options, host="127.0.0.1"):
        port = free_port()
        machine = self.machine(network=True)
        machine.bring(self.token, *[option for option in options if isinstance(option, pathlib.Path)])
        words = [f"/keys/{option.name}" if isinstance(option, pathlib.Path) else option for option in options]
        machine.listen(f"tcp:{host}:{port}", "--token-file", "/keys/token", *words)
        return f"tcp:{host}:{port}"

    def assert_refused(self, done, *parts):
        self.assertNotEqual(done.status, 0, done)
        for part in parts:
            self.assertIn(part, done.stderr)
        self.assertLess(done.seconds, 10, done)


class Strangers(RemoteTest):
    """Those who connect, and have not shown a token."""

    def test_many_connections_are_few_processes(self):
        """And whoever has business there is served meanwhile."""
        self.workspace.copy_modules("plain")
        machine = self.machine(share=False)
        via = machine.listen_here()
        strangers = []
        for number in range(300):
            stranger = socket.socket(socket.AF_UNIX)
            self.addCleanup(stranger.close)
            stranger.connect(via.removeprefix("unix:"))
            strangers.append(stranger)
            if number % 100 == 50:
                self.compile_well(via, "Plain.hs")

        def serving():
            return sum(words.startswith("/target/splicehost-target") for words in self.workspace.processes().values())

        # Connections may still be accepted for those that were killed.
        counts = []
        while len(counts) < 20 or len(counts) < 200 and not set(counts[-20:]) <= set(range(2, 40)):
            counts.append(serving())
            time.sleep(0.05)
        self.assertLessEqual(set(counts[-20:]), set(range(2, 40)))
        self.compile_well(via, "Plain.hs")


class Greeting(RemoteTest):
    def test_it_is_shown(self):
        """A login shell may say something before the target does."""
        self.workspace.copy_modules("plain")
        machine = self.machine()
        greeting = "echo Welcome to this machine.; echo; printf 'You have mail'; "
        done = self.compile_well(greeting + machine.command(), "Plain.hs")
        self.assertIn("Welcome to this machine.\n\nYou have mail", done.stderr)


class Tcp(TcpTest):
    def test_token_is_accepted(self):
        via = self.start()
        self.compile_well(via, "Plain.hs", options=("--token-file", self.token))

    def test_another_token_is_refused(self):
        via = self.start()
        wrong = self.secret("wrong", "open barley")
        self.assert_refused(self.compile(via, "Plain.hs", options=("--token-file", wrong)),
                            "refuses", "the token is not the one")

    def test_no_token_is_refused(self):
        via = self.start()
        self.assert_refused(self.compile(via, "Plain.hs"), "TCP needs the token", "token-file")

    def test_a_token_that_others_can_read_is_refused(self):
        via = self.start()
        self.token.chmod(0o644)
        self.assert_refused(self.compile(via, "Plain.hs", options=("--token-file", self.token)),
                            "is open to other users", "chmod go-rwx")

    def test_tls_is_accepted(self):
        certificate, key = make_certificate(self.workspace.root, "good")
        via = self.start("--certificate", certificate, "--key", key)
        self.compile_well(via, "Plain.hs", options=("--token-file", self.token, "--certificate", certificate))

    def test_another_certificate_is_refused(self):
        certificate, key = make_certificate(self.workspace.root, "good")
        other, _ = make_certificate(self.workspace.root, "other")
        via = self.start("--certificate", certificate, "--key", key)
        self.assert_refused(self.compile(via, "Plain.hs", options=("--token-file", self.token, "--certificate", other)),
                            "cannot be reached", "certificate")

    def test_a_certificate_for_another_name_is_refused(self):
        certificate, key = make_certificate(self.workspace.root, "good", address="127.0.0.9")
        via = self.start("--certificate", certificate, "--key", key)
        self.assert_refused(
            self.compile(via, "Plain.hs", options=("--token-file", self.token, "--certificate", certificate)),
            "certificate", "another name or address")

    def test_tls_is_not_talked_to_without_it(self):
        certificate, key = make_certificate(self.workspace.root, "good")
        via = self.start("--certificate", certificate, "--key", key)
        self.assert_refused(self.compile(via, "Plain.hs", options=("--token-file", self.token, "--timeout", "3")), via)

    def test_other_machines_need_tls(self):
        done = self.compile("tcp:192.0.2.1:7641", "Plain.hs", options=("--token-file", self.token))
        self.assert_refused(done, "TCP to another machine needs TLS")

    def test_listening_for_other_machines_needs_tls(self):
        target = target_directory() / "splicehost-target"
        for options, complaint in ((("--token-file", self.token), "needs TLS"), ((), "needs a token")):
            done = self.workspace.run(target, "--listen", "tcp:0.0.0.0:7641", *options)
            self.assertEqual(done.status, 1, done)
            self.assertIn(complaint, done.stderr)

    def test_nobody_listens(self):
        done = self.compile(f"tcp:127.0.0.1:{free_port()}", "Plain.hs", options=("--token-file", self.token))
        self.assert_refused(done, "cannot be reached", "Connection refused")


class Refused(RemoteTest):
    """What does not fit together, and says so."""

    def setUp(self):
        super().setUp()
        self.workspace.copy_modules("plain")

    def assert_refused(self, done, *parts):
        self.assertNotEqual(done.status, 0, done)
        for part in parts:
            self.assertIn(part, done.stderr)

    def test_another_architecture(self):
        done = self.compile(self.machine().command(), "Plain.hs", options=("--architecture", "riscv64"))
        self.assert_refused(done, "the front end's architecture is riscv64, the target's is")

    def test_another_ghc(self):
        machine = self.machine()
        directory = machine.own_target()
        version = OURS_DIRECTORY.name
        (directory / version).rename(directory / "ghc-1.2.3")
        done = self.compile(machine.command(), "Plain.hs")
        self.assert_refused(done, f"the front end's GHC version is {version[4:]}, the target's is 1.2.3")

    def test_another_build(self):
        machine = self.machine()
        directory = machine.own_target() / OURS_DIRECTORY.name
        manifest = (directory / "manifest").read_text(encoding="ascii")
        theirs = re.search(r"^vanilla (\w+)", manifest, re.MULTILINE)[1]
        (directory / "manifest").unlink()
        (directory / "manifest").write_text(manifest.replace(theirs, "0" * 64), encoding="ascii")
        done = self.compile(machine.command(), "Plain.hs")
        self.assert_refused(done, f"the front end's build is {theirs}, the target's is {'0' * 64}")

    def test_a_way_that_is_not_there(self):
        machine = self.machine()
        directory = machine.own_target() / OURS_DIRECTORY.name
        manifest = (directory / "manifest").read_text(encoding="ascii")
        (directory / "manifest").unlink()
        (directory / "manifest").write_text(re.sub(r"(?m)^vanilla .*\n", "", manifest), encoding="ascii")
        done = self.compile(machine.command(), "Plain.hs")
        self.assert_refused(done, "the front end's way is vanilla, the target's is")

    def test_a_command_that_ends(self):
        done = self.compile("exit 7", "Plain.hs")
        self.assert_refused(done, "'exit 7'", "the command ended with exit status 7")

    def test_a_command_that_is_none_of_ours(self):
        """What it says may be the reason."""
        done = self.compile("echo Welcome to this machine; printf 'Password: '; sleep 60", "Plain.hs",
                            options=("--timeout", "2"))
        self.assert_refused(done, "could not be made", "Welcome to this machine\nPassword: ", "not answered within 2 s")
        done = self.compile("echo This account is locked; exit 3", "Plain.hs")
        self.assert_refused(done, "could not be made", "This account is locked\n", "exit status 3")

    def test_a_command_that_does_not_answer(self):
        done = self.compile("exec sleep 60", "Plain.hs", options=("--timeout", "2"))
        self.assert_refused(done, "'exec sleep 60'", "it has not answered within 2 s")
        self.assertLess(done.seconds, 10, done)


class Kinds(RemoteTest):
    """Targets with a broker and without, run by root and by others: files are where they should be."""

    def setUp(self):
        super().setUp()
        self.workspace.copy_modules("embed")

    def embed(self, machine, via):
        said = [self.compile_well(via, "Embedded.hs").stderr for _ in range(2)]
        self.assertEqual(said, ["", ""])
        self.assertIn((self.workspace.cwd / "data/every-byte.bin").read_bytes()[1:100],
                      (self.workspace.cwd / "Embedded.o").read_bytes())

    def test_with_a_broker(self):
        machine = self.machine()
        self.embed(machine, machine.listen_here())

    def test_without_a_broker(self):
        machine = self.machine(share=False)
        self.embed(machine, machine.listen_here())

    def test_of_another_user(self):
        machine = self.machine(user=4711)
        self.embed(machine, machine.listen_here())

    def test_of_another_user_without_a_broker(self):
        machine = self.machine(user=4711, share=False)
        self.embed(machine, machine.listen_here())

    def test_ghci(self):
        done = self.workspace.run(GHC, "--interactive", "-v0", "-ignore-dot-ghci", *external(OURS), "-opti--via",
                                  f"-opti{self.machine().command()}", "Embedded.hs",
                                  stdin="print (sum [1 .. 10 :: Int])\nlet x = 3 :: Int\nprint (x + 4)\n")
        self.assertEqual(done.status, 0, done)
        self.assertEqual(done.stdout.split(), ["55", "7"], done)


class Files(RemoteTest):
    """The files that splices read."""

    READS = """{-# LANGUAGE TemplateHaskell #-}
module Reads where
import Language.Haskell.TH
import Language.Haskell.TH.Syntax
content :: String
content = $(runIO (readFile PATH) >>= lift)
"""

    def read(self, path, *options, via=None):
        self.workspace.write("Reads.hs", self.READS.replace("PATH", f'"{path}"'))
        return self.compile(via or self.machine().command(), "Reads.hs", options=options)

    def test_relative_and_absolute(self):
        self.workspace.write("data/poem.txt", "Ein Männlein steht im Walde\n")
        via = self.machine().listen_here()
        for path in ("data/poem.txt", self.workspace.cwd / "data/poem.txt"):
            done = self.read(path, via=via)
            self.assertEqual(done.status, 0, done)
            self.assertIn("Männlein".encode()[:1], (self.workspace.cwd / "Reads.o").read_bytes())

    def test_a_changed_file_is_read_as_it_is(self):
        via = self.machine().listen_here()
        for word in ("Beforehand", "Afterwards"):
            self.workspace.write("data.txt", word)
            done = self.read("data.txt", via=via)
            self.assertEqual(done.status, 0, done)
            self.assertIn(word.encode(), (self.workspace.cwd / "Reads.o").read_bytes())

    def test_outside_the_root(self):
        outside = self.workspace.root / "outside.txt"
        outside.write_text("out", encoding="ascii")
        done = self.read(outside)
        self.assertEqual(done.status, 1, done)
        self.assertIn(f"{outside} is here, but not on the target: only files under {self.workspace.cwd} are", done.stderr)
        self.assertIn("--root", done.stderr)
        machine = self.machine("other")
        done = self.read(outside, "--root", self.workspace.root, via=machine.command())
        # The machines are in there, too.
        self.assertEqual(done.status, 0, done)

    def test_too_large(self):
        self.workspace.write("large.txt", "x" * 5000)
        done = self.read("large.txt", "--max-file", "4K")
        self.assertEqual(done.status, 1, done)
        self.assertIn("too large to be on the target: the limit is 4096 bytes", done.stderr)
        self.assertIn("--max-file", done.stderr)

    def test_excluded(self):
        self.workspace.write("secret.key", "hush")
        done = self.read("secret.key", "--exclude", "*.key")
        self.assertEqual(done.status, 1, done)
        self.assertIn("excluded", done.stderr)

    def test_they_cannot_be_written_to(self):
        self.workspace.write("M.hs", """{-# LANGUAGE TemplateHaskell #-}
module M where
import Language.Haskell.TH.Syntax
n :: Int
n = $(runIO (writeFile "new.txt" "new") >> lift (1 :: Int))
""")
        done = self.compile(self.machine().command(), "M.hs")
        self.assertEqual(done.status, 1, done)
        self.assertIn("new.txt", done.stderr)
        self.assertIn("Read-only file system", done.stderr)


class Faults(RemoteTest):
    """What breaks, and what is left of it."""

    def setUp(self):
        super().setUp()
        self.workspace.copy_modules("lens")

    def assert_one_error(self, done, *parts):
        self.assertNotEqual(done.status, 0, done)
        ours = [line for line in done.stderr.splitlines() if line.startswith("iserv: ")]
        self.assertEqual(len(ours), 1, done)
        for part in parts:
            self.assertIn(part, ours[0])

    def assert_intact(self, machine):
        """Whatever is in the cache is what its name says."""
        for digest, paths in machine.contents().items():
            for path in paths:
                self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), digest, path)

    def test_an_interrupted_transfer_is_resumed(self):
        machine = self.machine()
        via = machine.listen_here()
        whole = self.proxy(via)
        cut = self.proxy(via, cut_after=2_000_000)
        done = self.compile(cut.via, "Lenses.hs")
        self.assert_one_error(done, "is lost")
        self.assertLess(done.seconds, 10)
        self.assert_intact(machine)
        self.compile_well(whole.via, "Lenses.hs")
        self.assert_intact(machine)
        # All of them take some 4.5 MB; what had arrived did not travel again.
        self.assertLess(whole.sent, 3_500_000)

    def test_a_corrupted_entry_is_sent_again(self):
        machine = self.machine()
        via = machine.listen_here()
        self.compile_well(via, "Lenses.hs")
        [lens] = [paths[0] for paths in machine.contents().values() if paths[0].name.startswith("libHSlens-")]
        good = lens.read_bytes()
        for damage in (lambda: lens.write_bytes(good[:1000] + b"?" + good[1001:]), lambda: lens.write_bytes(b""),
                       lens.unlink):
            lens.parent.chmod(0o700)
            damage()
            again = self.proxy(via)
            self.compile_well(again.via, "Lenses.hs")
            self.assertEqual(lens.read_bytes(), good)
            self.assertGreater(again.sent, 100_000)
            self.assertLess(again.sent, 2_000_000)

    def test_two_at_once_send_one_copy(self):
        machine = self.machine()
        via = machine.listen_here()
        proxies = [self.proxy(via), self.proxy(via)]
        running = []
        for number, proxy in enumerate(proxies):
            words = ("-opti--via", f"-opti{proxy.via}", "-c", "-fforce-recomp", "-outputdir", f"out{number}", "Lenses.hs")
            running.append(self.workspace.start(GHC, *external(OURS), *words, stderr=subprocess.PIPE))
        for process in running:
            _, said = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 0, said)
        self.assertLess(sum(proxy.sent for proxy in proxies), 5_500_000)
        self.assert_intact(machine)

    def test_a_full_disk(self):
        machine = self.machine(cache_bytes="8m")
        done = self.compile(machine.command(), "Lenses.hs")
        self.assert_one_error(done, "No space left on device", "/cache/splicehost")
        self.assertFalse(self.workspace.wait_until_empty(5))

    def test_a_small_cache_lets_go_of_what_is_old(self):
        machine = self.machine()
        via = machine.listen_here("--cache-size", "1K")
        # What is in use stays, whatever the limit is.
        self.compile_well(via, "Lenses.hs")
        directory = machine.cache / "splicehost" / "content"
        before = set(os.listdir(directory))
        for entry in directory.iterdir():
            os.utime(entry, (0, 0))
        self.workspace.copy_modules("aeson")
        self.compile_well(via, "Json.hs")
        self.assertLess(len(before & set(os.listdir(directory))), len(before))

    def test_cut_at_random(self):
        """Whenever the connection is cut: one error within seconds, nothing left behind, and a cache that is intact."""
        machine = self.machine()
        via = machine.listen_here()
        chance = random.Random(5)
        failed = 0
        for _ in range(CUTS):
            proxy = self.proxy(via, cut_at=chance.uniform(0.0, 0.6))
            done = self.compile(proxy.via, "Lenses.hs")
            self.assertLess(done.seconds, 10, done)
            if done.status != 0:
                failed += 1
                self.assert_one_error(done, "target")
            deadline = time.monotonic() + 5
            while self.sessions_alive(machine) and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertEqual(self.sessions_alive(machine), 0)
        self.assertGreater(failed, 0)
        self.assert_intact(machine)
        self.compile_well(via, "Lenses.hs")

    def sessions_alive(self, machine):
        """How many processes of the target serve a connection: those with a socket in the listener's process group."""
        listener = [pid for pid, words in self.workspace.processes().items() if "--listen" in words and
                    words.startswith("/target/splicehost-target")]
        return max(0, len(listener) - 1)

    def start_slow_compile(self):
        """A listening machine, and a compile whose splice runs there for a minute."""
        self.workspace.write("Slow.hs", """{-# LANGUAGE TemplateHaskell #-}
module Slow where
import Control.Concurrent
import Language.Haskell.TH.Syntax
n :: Int
n = $(runIO (putStrLn "started" >> threadDelay 60000000) >> lift (1 :: Int))
""")
        machine = self.machine()
        via = machine.listen_here()
        ghc = self.workspace.start(GHC, *external(OURS), "-opti--via", f"-opti{via}", "-c", "Slow.hs",
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(ghc.stdout.readline(), b"started\n")
        return machine, ghc

    def test_the_target_is_killed(self):
        machine, ghc = self.start_slow_compile()
        machine.stop()
        started = time.monotonic()
        _, said = ghc.communicate(timeout=30)
        self.assertLess(time.monotonic() - started, 5)
        self.assertNotEqual(ghc.returncode, 0)
        self.assertIn("iserv: the connection to the target", said.decode())

    def test_a_crash_is_explained(self):
        self.workspace.write("Crash.hs", """{-# LANGUAGE TemplateHaskell, ForeignFunctionInterface #-}
module Crash where
import Foreign.C
import Language.Haskell.TH.Syntax
n :: Int
n = $(runIO (peekCString nowhere >>= putStrLn) >> lift (1 :: Int))
""".replace("nowhere", "(castPtr (nullPtr `plusPtr` 8))").replace("import Foreign.C\n",
                                                                   "import Foreign\nimport Foreign.C\n"))
        done = self.compile(self.machine().command(), "Crash.hs")
        self.assertNotEqual(done.status, 0)
        self.assertIn("the interpreter was ended by signal 11", done.stderr)
        self.assertIn("splice at Crash.hs", done.stderr)

    def test_an_interrupt_arrives(self):
        """At GHCi's prompt: ^C is an exception that the statement, which runs on the target, can handle."""
        for share in (True, False):
            machine = self.machine(f"machine-{share}", share=share)
            terminal = Terminal(self.workspace, GHC, "--interactive", "-v0", "-ignore-dot-ghci", *external(OURS),
                                "-opti--via", f"-opti{machine.command()}")
            self.addCleanup(terminal.close)
            terminal.wait_for("> ", seconds=10)
            terminal.type("import Control.Concurrent\nimport Control.Exception\n")
            terminal.type('putStrLn ("star" ++ "ted") >> threadDelay 1000000000 `catch` '
                          r'\e -> putStrLn ("handled: " ++ show (e :: AsyncException))' + "\n")
            terminal.wait_for("started\n", seconds=10)
            time.sleep(0.3)
            terminal.press_control_c()
            terminal.wait_for("handled: user interrupt\n", seconds=5)
            terminal.wait_until_quiet()
            terminal.type("6 * 7\n")
            terminal.wait_for("42\n", seconds=5)
            terminal.press_control_d()
            terminal.wait_for_end()

    def test_an_interrupted_compile_ends(self):
        machine, ghc = self.start_slow_compile()
        os.killpg(ghc.pid, signal.SIGINT)
        started = time.monotonic()
        ghc.communicate(timeout=30)
        self.assertLess(time.monotonic() - started, 3)
        self.assertNotEqual(ghc.returncode, 0)
        time.sleep(1)
        self.assertEqual(self.sessions_alive(machine), 0)

    def test_output_arrives_in_order(self):
        self.workspace.write("Says.hs", """{-# LANGUAGE TemplateHaskell #-}
module Says where
import System.IO
import Language.Haskell.TH.Syntax
n :: Int
n = $(runIO (putStrLn "out" >> hPutStrLn stderr "err") >> reportWarning "warned" >> lift (1 :: Int))
""".replace("reportWarning", "(qReport False)"))
        done = self.compile_well(self.machine().command(), "Says.hs")
        self.assertEqual(done.stdout, "out\n")
        self.assertLess(done.stderr.index("err"), done.stderr.index("warned"))


class Libraries(RemoteTest):
    """Libraries that are not simply files."""

    def load(self, *requests):
        """What an interpreter on a machine answers to requests after which it looks up `checksum`."""
        self.workspace.write("checksum.c", "int checksum(void) { return 42; }\n")
        self.assertEqual(self.workspace.run("gcc", "-c", "-fPIC", "checksum.c").status, 0)
        self.assertEqual(self.workspace.run("ar", "rcsT", "libthin.a", "checksum.o").status, 0)
        self.assertEqual(self.workspace.run("gcc", "-shared", "-Wl,-soname,libreal.so.1", "-o", "libreal.so.1",
                                            "checksum.o").status, 0)
        self.workspace.write("libscript.so", "/* GNU ld script */\nINPUT ( libreal.so.1 AS_NEEDED ( libnone.so ) )\n")
        driven = Driven(self.workspace, OURS, "--via", self.machine().command())
        driven.send(b"".join((wire.INIT_LINKER, *requests, wire.RESOLVE_OBJS, wire.lookup_symbol("checksum"),
                              wire.SHUTDOWN)))
        done = driven.wait_for_end(20)
        return driven.answers, done

    def test_a_thin_archive(self):
        answers, done = self.load(wire.load_archive(self.workspace.cwd / "libthin.a"))
        self.assertEqual(done.status, 0, done)
        # Everything resolved; an address.
        self.assertEqual(answers[:2], b"\x01\x01", done)
        self.assertNotEqual(int.from_bytes(answers[2:10], "big"), 0)

    def test_a_linker_script(self):
        if ghc_version() >= (9, 10):
            loaded = b"\x01" + b"?" * 8
        else:
            loaded = b"\x00"
        answers, done = self.load(wire.load_dll(self.workspace.cwd / "libscript.so"))
        self.assertEqual(done.status, 0, done)
        answers = answers[len(loaded):]
        self.assertEqual(answers[:2], b"\x01\x01", done)

    def test_an_archive_that_is_none(self):
        self.workspace.write("libbad.a", "!<arch>\ncut short")
        _, done = self.load(wire.load_archive(self.workspace.cwd / "libbad.a"))
        self.assertNotEqual(done.status, 0)
        self.assertIn(f"{self.workspace.cwd}/libbad.a", done.stderr)
        self.assertNotIn("/cache/", done.stderr)

    def test_an_archive_that_is_not_there(self):
        _, done = self.load(wire.load_archive(self.workspace.cwd / "libnone.a"))
        self.assertNotEqual(done.status, 0)
        self.assertIn(f"{self.workspace.cwd}/libnone.a", done.stderr)
        self.assertIn("No such file", done.stderr)

    def test_a_missing_system_library(self):
        done = self.compile_with_library("libnowhere.so.7")
        self.assertNotEqual(done.status, 0)
        self.assertIn("libnowhere.so.7", done.stderr)
        self.assertIn("libneedy.so", done.stderr)

    def test_a_package_whose_system_library_is_missing(self):
        self.workspace.copy_modules("persistent")
        done = self.compile(self.machine().command(), "Entities.hs")
        self.assertNotEqual(done.status, 0)
        self.assertIn("libz.so.1: cannot open shared object file", done.stderr)
        self.assertRegex(done.stderr, r"on the target.*asked for by the package that has libraries in /.*zlib")

    def compile_with_library(self, needed):
        """A shared object of the project's that needs one which this machine has and the target has not."""
        self.workspace.write("needed.c", "int needed(void) { return 1; }\n")
        self.workspace.write("needy.c", "int needed(void); int needy(void) { return needed(); }\n")
        self.workspace.write("M.hs", "{-# LANGUAGE TemplateHaskell #-}\nmodule M where\nn :: Int\nn = $([| 1 |])\n")
        run = self.workspace.run
        self.assertEqual(run("gcc", "-shared", "-fPIC", f"-Wl,-soname,{needed}", "-o", needed, "needed.c").status, 0)
        self.assertEqual(run("gcc", "-shared", "-fPIC", "-o", "libneedy.so", "needy.c", needed).status, 0)
        return self.compile(self.machine().command(), "-L.", "-lneedy", "M.hs", way=DYNAMIC)


if __name__ == "__main__":
    unittest.main()
