"""Libraries whose loading does what forks do not have, or share: each session loads them itself."""

import json
import unittest

from support import GHC, VANILLA, WAYS, expand, for_each
from test_sharing import GHC_PKG, ISERVCTL, SharingTest, package_id

CALLS = """
{-# LANGUAGE ForeignFunctionInterface #-}
module Calls (answer) where
import Foreign.C
foreign import ccall "effect_answer" answer :: IO CInt
"""

USES = """
{-# LANGUAGE TemplateHaskell #-}
module UsesEffect where
import Calls
import Language.Haskell.TH
$(runIO (answer >>= print) >> pure [])
"""

# Each answers 42 where it has been loaded as it should.
THREAD = """
#include <pthread.h>
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int asked;
static void* work(void* none) {
  pthread_mutex_lock(&lock);
  while (!asked) pthread_cond_wait(&changed, &lock);
  asked = 42;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return none;
}
__attribute__((constructor)) static void start(void) { pthread_t thread; pthread_create(&thread, 0, work, 0); }
int effect_answer(void) {
  pthread_mutex_lock(&lock);
  asked = 1;
  pthread_cond_broadcast(&changed);
  while (asked != 42) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
  return 42;
}
"""

PRINT = """
#include <stdio.h>
__attribute__((constructor)) static void start(void) { fputs("the library is here\\n", stderr); }
int effect_answer(void) { return 42; }
"""

FILE = """
#include <fcntl.h>
#include <unistd.h>
static int fd;
__attribute__((constructor)) static void start(void) { fd = open("/etc/passwd", O_RDONLY); }
int effect_answer(void) { char c; return lseek(fd, 0, SEEK_CUR) == 0 && read(fd, &c, 1) == 1 ? 42 : 0; }
"""

MAPPING = """
#include <sys/mman.h>
static int* shared;
__attribute__((constructor)) static void start(void) {
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}
int effect_answer(void) { return (*shared)++ == 0 ? 42 : 0; }
"""

CHILD = """
#include <sys/wait.h>
#include <unistd.h>
static pid_t child;
__attribute__((constructor)) static void start(void) { if ((child = fork()) == 0) _exit(42); }
int effect_answer(void) { int status; return waitpid(child, &status, 0) == child ? WEXITSTATUS(status) : 0; }
"""

TIMER = """
#include <time.h>
static timer_t timer;
__attribute__((constructor)) static void start(void) {
  struct sigevent nothing = {.sigev_notify = SIGEV_NONE};
  struct itimerspec time = {.it_value = {.tv_sec = 1000}};
  timer_create(CLOCK_MONOTONIC, &nothing, &timer);
  timer_settime(timer, 0, &time, 0);
}
int effect_answer(void) { struct itimerspec left; return timer_gettime(timer, &left) == 0 && left.it_value.tv_sec ? 42 : 0; }
""".replace("#include <time.h>", "#define _GNU_SOURCE\n#include <signal.h>\n#include <time.h>")

HANDLER = """
#include <signal.h>
static volatile int answer;
static void handle(int number) { (void)number; answer = 42; }
__attribute__((constructor)) static void start(void) { signal(SIGUSR2, handle); }
int effect_answer(void) { raise(SIGUSR2); return answer; }
"""

# Only where there is not the client's environment, which is in the broker's processes.
ABORT = """
#include <stdlib.h>
__attribute__((constructor)) static void start(void) { if (!getenv("EFFECT_CLIENT")) abort(); }
int effect_answer(void) { return 42; }
"""

EXIT = ABORT.replace("abort()", "exit(0)")

HANG = ABORT.replace("abort()", "for (;;) pause()").replace("#include <stdlib.h>", "#include <stdlib.h>\n#include <unistd.h>")

# What hangs is given up after 20 s, and later on a very busy machine.
UNSHARED_SECONDS = 240

EFFECTS = {"thread": (THREAD, "threads"), "print": (PRINT, "prints"), "file": (FILE, "open files"),
           "mapping": (MAPPING, "shared memory"), "child": (CHILD, "children"), "timer": (TIMER, "timers"),
           "handler": (HANDLER, "signal handling"), "hang": (HANG, "too long"),
           "abort": (ABORT, "signal 6"), "exit": (EXIT, "exit status 0")}


@expand
class Effects(SharingTest):
    """What a client sees is what it sees without sharing, each time, and the status says why."""

    @for_each(effect=EFFECTS)
    def test_shared_object(self, effect):
        self.check_shared_object(VANILLA, effect)

    @for_each(way=[way for way in WAYS if way.name != "vanilla"])
    def test_shared_object_with_a_thread(self, way):
        self.check_shared_object(way, "thread")

    @for_each(way=WAYS)
    def test_dependency(self, way):
        """What a library needs is loaded with it."""
        self.write_modules(THREAD.replace("effect_answer", "inner_answer"))
        self.workspace.write("outer.c", "int inner_answer(void);\nint effect_answer(void) { return inner_answer(); }\n")
        self.run_well("gcc", "-shared", "-fPIC", "-pthread", "effect.c", "-o", "libinner.so")
        self.run_well("gcc", "-shared", "-fPIC", "outer.c", "-L.", "-linner", "-o", "libeffect.so")
        self.compile(way, "Calls.hs")
        self.check(way, "threads", f"-L{self.workspace.cwd}", "-leffect")

    @for_each(way=[way for way in WAYS if way.name != "dynamic"])
    def test_object(self, way):
        """GHC loads objects of the command line after the packages, where nothing is shared."""
        self.write_modules(THREAD)
        self.run_well("gcc", "-fPIC", "-c", "effect.c")
        self.compile(way, "Calls.hs")
        self.check_output(way, "effect.o")

    @for_each(way=[way for way in WAYS if way.name != "dynamic"])
    def test_package(self, way):
        """Constructors of a package's archive run when a symbol is looked up first, or ahead of that."""
        self.write_modules(THREAD)
        self.run_well("gcc", "-fPIC", "-c", "effect.c", "-o", "effect.o")
        library = self.workspace.cwd / "lib"
        self.run_well(GHC, "-v0", "-c", *way.flags, "-this-unit-id", "effect-1", "-outputdir", library, "Calls.hs")
        suffix = "_p" if way.name == "profiling" else ""
        self.run_well("ar", "qsD", library / f"libHSeffect-1{suffix}.a", library / f"Calls.{way.object_suffix}",
                      "effect.o")
        self.workspace.write("effect.conf", "name: effect\nversion: 1\nid: effect-1\nkey: effect-1\nexposed: True\n"
                             "exposed-modules: Calls\nhs-libraries: HSeffect-1\n"
                             f"import-dirs: {library}\nlibrary-dirs: {library}\n"
                             f"depends: {package_id('base')}\n")
        self.run_well(GHC_PKG, "init", "db")
        self.run_well(GHC_PKG, "--package-db", "db", "-v0", "--force", "register", "effect.conf")
        (self.workspace.cwd / "Calls.hs").unlink()
        self.check(way, "threads", "-package-db", "db", "-package", "effect")

    def check_shared_object(self, way, effect):
        source, why = EFFECTS[effect]
        self.write_modules(source)
        self.run_well("gcc", "-shared", "-fPIC", "-pthread", "effect.c", "-o", "libeffect.so")
        self.compile(way, "Calls.hs")
        self.check(way, why, f"-L{self.workspace.cwd}", "-leffect")

    def write_modules(self, source):
        self.workspace.env["EFFECT_CLIENT"] = "yes"
        self.workspace.env["LD_LIBRARY_PATH"] = str(self.workspace.cwd)
        self.workspace.write("effect.c", source)
        self.workspace.write("Calls.hs", CALLS)
        self.workspace.write("UsesEffect.hs", USES)

    def run_well(self, *command):
        done = self.workspace.run(*command)
        self.assertEqual(done.status, 0, done)

    def check_output(self, way, *arguments, hangs=False):
        alone = self.compile_directly(way, *arguments, "UsesEffect.hs")
        self.assertEqual(alone.stdout, "42\n", alone)
        for _ in range(3):
            done = self.compile(way, *arguments, "UsesEffect.hs", timeout=30)
            self.assertEqual((done.stdout, done.stderr), (alone.stdout, alone.stderr))
            if not hangs:
                self.wait_until_grown(0)

    def check(self, way, why, *arguments):
        self.check_output(way, *arguments, hangs=why == "too long")
        self.wait_for(lambda: why in str(self.unshared()), f"the status says {why}", UNSHARED_SECONDS)
        self.assertEqual(len(self.unshared()), 1)
        table = self.workspace.run(ISERVCTL, "status").stdout
        self.assertIn(why, table)
        log = self.workspace.run(ISERVCTL, "log").stdout
        self.assertEqual(sum(why in line for line in log.splitlines()), 1, log)

    def unshared(self):
        return json.loads(self.workspace.run(ISERVCTL, "status", "--json").stdout)["unshared"]


if __name__ == "__main__":
    unittest.main()
