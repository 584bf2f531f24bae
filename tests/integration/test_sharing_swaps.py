"""What was looked at is what is loaded, though its path leads elsewhere at the very moment of loading."""

import shutil
import unittest

from support import WAYS, expand, for_each
from test_sharing import NEW, OLD, SharingTest

# Loaded into interpreters. While ARMED exists, a path that ends in NAME leads elsewhere for whoever opens it: RTS's
# linkers (fopen), and the system's (la_objsearch before it opens, la_objopen after it has mapped).
SWAPPER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int swapped;

static int is_meant(const char *path) {
  size_t length = strlen(path), name = strlen(NAME);
  return length >= name && strcmp(path + length - name, NAME) == 0 && access(ARMED, F_OK) == 0;
}

static void swap(void) {
  renameat2(AT_FDCWD, ONE, AT_FDCWD, OTHER, RENAME_EXCHANGE);
  swapped = !swapped;
  if (swapped) return;
  int fd = open(ARMED, O_WRONLY | O_APPEND);
  if (write(fd, "x", 1) != 1) _exit(99);
  close(fd);
}

static FILE *opened(const char *function, const char *path, const char *mode) {
  FILE *(*next)(const char *, const char *) = dlsym(RTLD_NEXT, function);
  int meant = is_meant(path);
  if (meant) swap();
  FILE *file = next(path, mode);
  if (meant) swap();
  return file;
}
FILE *fopen(const char *path, const char *mode) { return opened("fopen", path, mode); }
FILE *fopen64(const char *path, const char *mode) { return opened("fopen64", path, mode); }

unsigned la_version(unsigned version) { return version; }
char *la_objsearch(const char *path, uintptr_t *cookie, unsigned flag) {
  (void)cookie;
  (void)flag;
  if (!swapped && access(path, F_OK) == 0 && is_meant(path)) swap();
  return (char *)path;
}
unsigned la_objopen(struct link_map *map, Lmid_t id, uintptr_t *cookie) {
  (void)id;
  (void)cookie;
  if (swapped && is_meant(map->l_name)) swap();
  return 0;
}
"""


@expand
class Swapped(SharingTest):
    @for_each(way=WAYS)
    def test_directory(self, way):
        """The directory of a package's library."""
        packages = [self.make_package(way, value, str(value), whole=True) for value in (OLD, NEW)]
        self.check(way, packages[0], packages[0].code.name, *(package.library for package in packages), "({0},{0},{0})\n")

    @for_each(way=WAYS)
    def test_dependency(self, way):
        """A shared object that another one needs, and that only the system's linker knows."""
        packages = [self.make_package(way, value, str(value)) for value in (OLD, NEW)]
        other = shutil.copy(packages[1].dependency, self.workspace.root)
        self.check(way, packages[0], packages[0].dependency.name, packages[0].dependency, other, f"({OLD},{OLD},{{0}})\n")

    def check(self, way, package, name, one, other, says):
        armed = self.workspace.root / "armed"
        self.workspace.write("swapper.c", SWAPPER)
        defines = [f'-D{macro}="{value}"' for macro, value in
                   (("ARMED", armed), ("NAME", f"/{name}"), ("ONE", one), ("OTHER", other))]
        swapper = self.workspace.root / "libswapper.so"
        built = self.workspace.run("gcc", "-shared", "-fPIC", *defines, "swapper.c", "-o", swapper)
        self.assertEqual(built.status, 0, built)
        # The system's linker calls an auditor; what the RTS's calls comes from a preloaded library.
        audited = name.endswith(".so")
        self.workspace.env["LD_AUDIT" if audited else "LD_PRELOAD"] = str(swapper)
        self.copy_source("Uses.hs")
        armed.touch()
        # The session gets what the path leads to when it loads.
        done = self.compile(way, *package.flags, "Uses.hs")
        self.assertEqual(done.stdout, says.format(NEW), "nothing was swapped")
        self.wait_for(lambda: armed.stat().st_size >= 2, "a zygote has loaded, too")
        self.wait_until_grown(0)
        armed.unlink()
        for _ in range(3):
            done = self.compile(way, *package.flags, "Uses.hs")
            self.assertEqual(done.stdout, says.format(OLD), "a record of what was swapped for a moment")
            self.wait_until_grown(0)


if __name__ == "__main__":
    unittest.main()
