"""Splices run on another machine: one that has no GHC, no libraries, and a root folder of its own."""

import pathlib
import re
import shutil
import unittest

from projects import PROJECTS
from remote import Machine, Proxy
from support import GHC, OURS, VANILLA, WAYS, DYNAMIC, IntegrationTest, expand, external, for_each, peer

REMOTE_PROJECTS = [project for project in PROJECTS
                   if project.name in ("plain", "literals", "lens", "aeson", "embed", "annotations", "reify", "quoter",
                                       "singletons", "persistent", "cbits", "exports", "unicode", "yesod")]


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
        machine = self.machine()
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


if __name__ == "__main__":
    unittest.main()
