"""Libraries in every kind of place are changed in every kind of way while compiles load them: no compile gets an old
library, or a mixture.

A compile is played over the interpreter's pipes: it loads what a GHC would and looks up symbols. Each build of a
library has symbols of its own, so what is found says which build was loaded; it must be one that was there between the
compile's start and its end.

SPLICEHOST_TORTURE says how many changes there are in each way (default 20).
"""

import collections
import os
import random
import select
import shutil
import subprocess
import time
import unittest

import wire
from images import LoopDevice, make_image, run, set_times
from support import OURS, WAYS, expand, for_each, ghc_version
from test_sharing import SharingTest

CHANGES = int(os.environ.get("SPLICEHOST_TORTURE", "20"))
BUILDS = 3
PATIENCE = 20
"""Seconds for one answer."""


class Gone(Exception):
    """The interpreter has ended, or says that it could not load something."""


class Place:
    """A library, in a directory that a link leads to, and which build of it was there from when to when."""

    def __init__(self, test, name, file, make):
        self.name, self.file = name, file
        self.root = test.workspace.root / name
        self.root.mkdir()
        self.link = self.root / "current"
        self.path = self.link / file
        self.builds = [make(self.root, name, number) for number in range(BUILDS)]
        # One is written over another in place.
        test.assertEqual(len({build.stat().st_size for build in self.builds}), 1)
        self.directories = [self.root / "a", self.root / "b"]
        self.mounted = []  # directories, each with the build that it hides
        self.images, self.devices = {}, []
        for directory in self.directories:
            directory.mkdir()
            shutil.copy2(self.builds[0], directory / file)
        self.link.symlink_to(self.directories[0])
        self.history = [(0.0, 0.0, 0)]

    def change(self, kind):
        number = random.choice([n for n in range(BUILDS) if n != self.history[-1][2]])
        if kind == uncover:
            number = self.mounted[-1][1]
        if kind == rewrite_and_replace:
            number = self.history[-1][2]
        if kind == image_over:
            self.image(number)  # it takes its time
        before = time.monotonic()
        kind(self, number)
        self.history.append((before, time.monotonic(), number))

    def valid(self, start, end):
        """The builds that were there at some time in between."""
        ends = [after for _, after, _ in self.history[1:]] + [float("inf")]
        return {number for (before, _, number), gone in zip(self.history, ends) if before <= end and gone >= start}

    def other_directory(self):
        return next(directory for directory in self.directories if directory != self.link.resolve())

    def put(self, number, path, times=None):
        new = path.with_name("new")
        shutil.copyfile(self.builds[number], new)
        if times:
            os.utime(new, ns=(times.st_atime_ns, times.st_mtime_ns))
        os.replace(new, path)

    def unmount(self):
        for directory, _ in reversed(self.mounted):
            subprocess.run(["umount", "--lazy", directory], check=True)
        self.mounted = []
        for device in self.devices:
            device.remove()

    def image(self, number):
        """Of a directory with a build; the builds' files have the same times and inodes there."""
        if number not in self.images:
            directory, image = self.root / f"in{number}", self.root / f"{number}.img"
            directory.mkdir()
            shutil.copyfile(self.builds[number], directory / self.file)
            make_image(image, directory)
            set_times(image, self.file)
            self.images[number] = image
        return self.images[number]

    def device_with(self, image):
        """The loop device that was used last, if nobody holds what was mounted from it."""
        try:
            self.devices[-1].detach()
            self.devices[-1].attach(image)
        except (IndexError, RuntimeError):
            self.devices.append(LoopDevice())
            self.devices[-1].attach(image)
        return self.devices[-1].path


# The ways to change a library. A shared object is never written to in place: that would change the memory of those
# who have loaded it, whoever loads it next.

def rename_over(place, number):
    place.put(number, place.path)


def keep_size_and_time(place, number):
    place.put(number, place.path, place.path.stat())


def rewrite(place, number):
    file = os.open(place.path, os.O_WRONLY)
    os.pwrite(file, place.builds[number].read_bytes(), 0)
    os.close(file)


def rewrite_and_replace(place, number):
    """What is written to has changed for all who have it mapped, though its path has the old content again."""
    before = time.monotonic()
    other = random.choice([n for n in range(BUILDS) if n != number])
    rewrite(place, other)
    place.history.append((before, time.monotonic(), other))
    place.put(number, place.path)


def switch_link(place, number):
    target = place.other_directory()
    place.put(number, target / place.file)
    new = place.root / "new"
    new.symlink_to(target)
    os.replace(new, place.link)


def swap_directories(place, number):
    here, other = place.link.resolve(), place.other_directory()
    place.put(number, other / place.file)
    between = place.root / "between"
    here.rename(between)
    other.rename(here)
    between.rename(other)


def mount_over(place, number):
    source = place.root / f"source{len(place.history)}"
    source.mkdir()
    shutil.copyfile(place.builds[number], source / place.file)
    here = place.link.resolve()
    subprocess.run(["mount", "--bind", source, here], check=True)
    place.mounted.append((here, place.history[-1][2]))


def image_over(place, number):
    here = place.link.resolve()
    run("mount", "-o", "ro", place.device_with(place.image(number)), here)
    place.mounted.append((here, place.history[-1][2]))


def uncover(place, _):
    # Lazily: who has loaded from there holds it.
    subprocess.run(["umount", "--lazy", place.mounted.pop()[0]], check=True)


KINDS = (rename_over, keep_size_and_time, rewrite, rewrite_and_replace, switch_link, swap_directories, mount_over,
         image_over, uncover)
IN_PLACE = (rewrite, rewrite_and_replace)
CANNOT_MOVE = (switch_link, swap_directories)
"""Not of a directory on which something is mounted."""


class Compile:
    """An interpreter under the hand of the test."""

    def __init__(self, test, way):
        requests, self.to = os.pipe()
        self.answers, answers = os.pipe()
        self.process = test.workspace.start(OURS + way.suffix, str(answers), str(requests), stdout=subprocess.DEVNULL,
                                            stderr=test.errors, pass_fds=(requests, answers))
        os.close(requests)
        os.close(answers)

    def read(self, count):
        data = b""
        while len(data) < count:
            if not select.select([self.answers], [], [], PATIENCE)[0]:
                raise AssertionError("the interpreter does not answer")
            more = os.read(self.answers, count - len(data))
            if not more:
                raise Gone()
            data += more
        return data

    def ask(self, request):
        try:
            os.write(self.to, request)
        except BrokenPipeError:
            raise Gone() from None

    def load(self, request):
        self.ask(request)
        if request.startswith(wire.load_dll("")[:1]):
            has_handle = ghc_version() >= (9, 8)
            if (self.read(1) == b"\x01") != has_handle:
                raise Gone()
            if has_handle:
                self.read(8)

    def has(self, symbol):
        self.ask(wire.lookup_symbol(symbol))
        found = self.read(1) == b"\x01"
        if found:
            self.read(8)
        return found

    def end(self):
        for fd in (self.to, self.answers):
            os.close(fd)
        self.process.wait(PATIENCE)


@expand
class Torture(SharingTest):
    def setUp(self):
        super().setUp()
        self.places = []
        self.addCleanup(lambda: [place.unmount() for place in self.places])
        self.errors = open(self.workspace.root / "errors", "w+", encoding="utf-8")
        self.addCleanup(self.errors.close)

    def make_places(self, way):
        def compiled(*flags):
            def make(root, name, number):
                source, made = root / f"{number}.c", root / f"{number}.made"
                source.write_text(f"int {name}_{number} = 1; int {name}_{number}_too = 1;\n")
                self.run_tool("gcc", *flags, source, "-o", made)
                return made
            return make

        def archive(root, name, number):
            source, made = root / f"{number}.c", root / f"{number}.made"
            for part in ("", "_too"):
                source.write_text(f"int {name}_{number}{part} = 1;\n")
                self.run_tool("gcc", "-c", source, "-o", root / f"part{part}.o")
            self.run_tool("ar", "qcD", made, root / "part.o", root / "part_too.o")
            return made

        shared = compiled("-shared", "-fPIC")
        places = [("preloaded", "libpreloaded.so", shared), ("by_path", "libby_path.so", shared),
                  ("by_name", "libby_name.so", shared), ("inner", "libinner.so", shared),
                  ("archive", "libHSarchive.a", archive), ("object", "home.o", compiled("-c", "-fPIC")),
                  ("thin", "thin.o", compiled("-c", "-fPIC"))]
        self.places = [Place(self, *place) for place in places]
        by_name = {place.name: place for place in self.places}
        outer = self.workspace.root / "libouter.so"
        source = self.workspace.root / "outer.c"
        source.write_text("int outer;\n")
        self.run_tool("gcc", "-shared", "-fPIC", source, f"-L{by_name['inner'].link}", "-Wl,--no-as-needed", "-linner",
                      f"-Wl,-rpath,{self.workspace.root}/missing:{by_name['inner'].link}", "-o", outer)
        self.workspace.env["LD_LIBRARY_PATH"] = str(by_name["by_name"].link)
        self.workspace.env["LD_PRELOAD"] = str(by_name["preloaded"].path)
        thin = self.workspace.root / "libthin.a"
        # ar follows links, and a member is found from the archive's directory: it is made where there is no link.
        straight = self.workspace.root / "straight"
        (straight / "thin" / "current").mkdir(parents=True)
        shutil.copyfile(by_name["thin"].builds[0], straight / "thin" / "current" / "thin.o")
        subprocess.run(["ar", "qcTD", thin.name, "thin/current/thin.o"], check=True, cwd=straight)
        shutil.move(straight / thin.name, thin)
        self.loads = [wire.load_dll(by_name["by_path"].path), wire.load_dll("libby_name.so"), wire.load_dll(outer),
                      wire.load_archive(by_name["archive"].path), wire.load_obj(by_name["object"].path),
                      wire.load_archive(thin)]

    def run_tool(self, *command):
        done = self.workspace.run(*command)
        self.assertEqual(done.status, 0, done)

    def kinds_for(self, place):
        kinds = [kind for kind in KINDS if kind not in IN_PLACE or place.name in ("archive", "object", "thin")]
        if place.mounted:
            kinds = [kind for kind in kinds if kind not in CANNOT_MOVE]
            # Files of an image that is mounted cannot be written.
            if place.path.stat().st_dev != place.root.stat().st_dev:
                kinds = [kind for kind in kinds if kind in (mount_over, image_over, uncover)]
        else:
            kinds.remove(uncover)
        if os.getuid() != 0 or len(place.mounted) > 3:
            kinds.remove(mount_over)
            kinds.remove(image_over)
        return kinds

    @for_each(way=WAYS)
    def test(self, way):
        self.make_places(way)
        tried, stopped = collections.Counter(), 0
        for number in range(CHANGES):
            place = random.choice(self.places)
            kind = random.choice(self.kinds_for(place))
            start = time.monotonic()
            compile_ = Compile(self, way)
            time.sleep(random.choice((0, random.uniform(0, 0.06))))
            place.change(kind)
            tried[f"{kind.__name__} of {place.name}"] += 1
            found = self.play(compile_)
            end = time.monotonic()
            stopped += found is None
            if found is not None:
                self.check(found, start, end, f"change {number}, {kind.__name__} of {place.name}")
            # Now nothing changes meanwhile.
            start = time.monotonic()
            found = self.play(Compile(self, way))
            self.assertIsNotNone(found, f"nothing was loaded after {kind.__name__} of {place.name}:\n{self.said()}")
            self.check(found, start, time.monotonic(), f"after change {number}, {kind.__name__} of {place.name}")
        self.assertGreater(self.status().hits, 0, "nothing was shared")
        print(f"\n{way.name}: {CHANGES} changes, {stopped} compiles met a gap;",
              ", ".join(f"{kind}: {count}" for kind, count in sorted(tried.items())))

    def play(self, compile_):
        """The builds that a compile has found, {place: {build}}; None if it could not load something."""
        try:
            compile_.ask(wire.INIT_LINKER)
            for load in self.loads:
                compile_.load(load)
            compile_.ask(wire.RESOLVE_OBJS)
            if compile_.read(1) != b"\x01":
                return None
            found = {place: {n for n in range(BUILDS) for part in ("", "_too") if compile_.has(f"{place.name}_{n}{part}")}
                     for place in self.places}
            compile_.ask(wire.SHUTDOWN)
            return found
        except Gone:
            return None
        finally:
            compile_.end()

    def check(self, found, start, end, what):
        for place, builds in found.items():
            valid = place.valid(start, end)
            self.assertTrue(len(builds) == 1 and builds <= valid,
                            f"{what}: of {place.name} there is {builds}, valid are {valid}\n{self.log()}")

    def said(self):
        self.errors.seek(0)
        return self.errors.read()[-1000:]


if __name__ == "__main__":
    unittest.main()
