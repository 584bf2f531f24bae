"""Libraries of C code as compilers make them: what splices can call, and what is said of what cannot be linked."""

import os

from support import GHC, OURS, WAYS, IntegrationTest, expand, external, for_each
from test_sharing import GHC_PKG

STATIC_WAYS = [way for way in WAYS if way.name != "dynamic"]

# All that gcc calls functions of libgcc for, or the C library has in its static part, each times a prime.
HELPERS = r"""
#include <complex.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#ifdef __SIZEOF_INT128__
typedef __int128 wide;
#endif
static void nothing(void) {}
int calls(int n) {
  volatile wide a = (wide)n << 70, b = n + 1000003;
  volatile unsigned __int128 c = a;
  volatile double d = 1.5 + n, e;
  volatile long double l = d;
  volatile float s = d;
  volatile __float128 q = d;
  volatile double complex z = n + 2.0 * I;
  volatile long double complex lz = z;
  volatile _Decimal64 decimal = n;
  volatile uint64_t bits = 0x123456789abcdefULL * n;
  struct stat status;
  char name[64];
  int sum = (int)(a / b) + (int)(a % b) * 3 + (int)(c / 7) + (int)(c % 11);
  sum += __builtin_popcountll(bits) * 5 + __builtin_parityll(bits) * 7 + __builtin_clrsbll(bits) * 11;
  e = __builtin_powi(d, n);
  sum += (int)e + (int)__builtin_powif(s, 3) * 13 + (int)(q * q / 3) * 17 + (int)(q + l) * 19 + (q < d + 1);
  z = z * z / (n + 1.0 * I);
  lz = lz * lz / (n + 1.0 * I);
  sum += (int)creal(z) * 23 + (int)cimag(z) * 29 + (int)creall(lz) * 31;
  sum += (int)(float)(c >> 60) + (int)(double)(a >> 61) + (int)(wide)d + (int)(unsigned __int128)l;
  sum += (int)(decimal * 3 / 2) * 37;
#ifdef __x86_64__
  volatile _Float16 half = 1.5f;
  sum += (int)(half * n);
  __builtin_cpu_init();
  sum += !__builtin_cpu_supports("sse2");
#endif
  memset(name, n, sizeof name);
  sum += name[n & 63] + (stat("/", &status) | lstat("/", &status) | fstat(2, &status));
  return sum + pthread_atfork(nothing, nothing, nothing) + atexit(nothing) + at_quick_exit(nothing);
}
"""

# Debugging information that is compressed the old way.
FLAGS = ("-O1", "-fPIC", "-g3", "-Wa,--compress-debug-sections=zlib-gnu", "-fstack-protector-all")

MODULES = {
    "Calls.hs": """
{-# LANGUAGE ForeignFunctionInterface #-}
module Calls where
import Foreign.C
foreign import ccall "calls" calls :: CInt -> IO CInt
""",
    "Subject.hs": """
{-# LANGUAGE TemplateHaskell #-}
module Subject where
import Calls
import Language.Haskell.TH
$(runIO (calls 12) >>= \\n -> reportWarning ("calls gives " ++ show n) >> pure [])
""",
}


class CTest(IntegrationTest):
    """Compiles a module whose splice calls a C function of a static library."""

    def command(self, *words):
        done = self.workspace.run(*words)
        self.assertEqual(done.status, 0, done)
        return done

    def library(self, name, flags=FLAGS, **sources):
        """Makes an archive; each source is a member."""
        for member, source in sources.items():
            self.workspace.write(f"{member}.c", source)
            self.command("gcc", *flags, "-c", f"{member}.c")
        self.command("ar", "rcs", f"lib{name}.a", *(f"{member}.o" for member in sources))

    def splice(self, way, *libraries, directory=None, locale=None):
        """Compiles in a locale; the libraries are in a directory that may have any name."""
        for name, text in MODULES.items():
            self.workspace.write(name, text)
        self.command(GHC, "-v0", *way.flags, "-c", "Calls.hs")
        self.workspace.write("calls.conf", "name: calls\nversion: 1\nid: calls-1\nkey: calls-1\nexposed: True\n"
                                           f"library-dirs: {directory or self.workspace.cwd}\n"
                                           f"extra-libraries: {' '.join(libraries)}\n")
        self.command(GHC_PKG, "init", "db")
        self.command(GHC_PKG, "--package-db", "db", "-v0", "--force", "register", "calls.conf")
        self.workspace.env.update(locale or {})
        return self.workspace.run(GHC, *external(OURS), *way.flags, "-package-db", "db", "-package", "calls",
                                  "-c", "Subject.hs")

    def assert_refused(self, done, *words):
        """One line has all these words, and nothing has crashed."""
        self.assertGreater(done.status, 0, done)
        lines = done.stderr.splitlines()
        self.assertTrue(any(all(word in line for word in words) for line in lines), done)
        self.assertNotIn("crashed", done.stderr)
        self.assertNotIn("internal error", done.stderr)


@expand
class CompilersFunctions(CTest):
    """Functions that no source names."""

    @for_each(way=WAYS)
    def test_helpers(self, way):
        """A splice computes what a program does."""
        self.workspace.write("main.c", "int printf(const char*, ...); int calls(int);\n"
                                       "int main(void) { return printf(\"%d\", calls(12)) < 0; }\n")
        self.library("calls", calls=HELPERS)
        self.command("gcc", "main.c", "calls.o", "-o", "program")
        expected = self.command(self.workspace.cwd / "program").stdout
        done = self.splice(way, "calls")
        self.assertEqual(done.status, 0, done)
        self.assertIn(f"calls gives {expected}\n", done.stderr)

    @for_each(way=WAYS)
    def test_a_library_has_its_own(self, way):
        """A function that a library defines itself is the one that its code calls, as in a program."""
        self.library("calls", calls="volatile __int128 a = 77; int calls(int n) { return (int)(a / n); }",
                     division="__int128 __divti3(__int128 a, __int128 b) { return 1234; }")
        self.library("more", flags=("-O1", "-fPIC"), more="long __popcountdi2(long n) { return 4321; }\n"
                                                           "int __cpu_model[4]; int more(void) { return 1; }")
        done = self.splice(way, "calls", "more")
        self.assertEqual(done.status, 0, done)
        self.assertIn("calls gives 1234\n", done.stderr)


@expand
class WhatCannotBeLinked(CTest):
    """Code that GHC's linker has no means for."""

    THREAD_LOCAL = "_Thread_local int counter; int count(int n) { return counter += n; }"

    @for_each(way=STATIC_WAYS)
    def test_thread_local(self, way):
        """Thread-local variables: the member and the variable are named."""
        self.library("calls", flags=("-O1", "-fPIC"),
                     calls="int count(int); int calls(int n) { return count(n); }", counting=self.THREAD_LOCAL)
        done = self.splice(way, "calls")
        self.assert_refused(done, "libcalls.a(", "counting.o", "counter", "thread-local", "shared object")

    @for_each(way=WAYS)
    def test_not_needed(self, way):
        """A member that nothing refers to may have anything."""
        self.library("calls", flags=("-O1",), calls="int calls(int n) { return n + 1; }", counting=self.THREAD_LOCAL)
        done = self.splice(way, "calls")
        self.assertEqual(done.status, 0, done)
        self.assertIn("calls gives 13\n", done.stderr)

    @for_each(way=STATIC_WAYS)
    def test_indirect_function(self, way):
        """An indirect function is not taken for the function that chooses it."""
        self.library("calls", calls="static int one(int n) { return n; }\n"
                                    "static void* choose(void) { return one; }\n"
                                    "static int chosen(int) __attribute__((ifunc(\"choose\")));\n"
                                    "int calls(int n) { return chosen(n); }\n")
        self.assert_refused(self.splice(way, "calls"), "libcalls.a(", "calls.o", "chosen", "IFUNC")

    @for_each(way=STATIC_WAYS)
    def test_weak_and_missing(self, way):
        """A weak reference to what is nowhere: the member and the symbol are named."""
        self.library("calls", calls="extern int optional(void) __attribute__((weak));\n"
                                    "int calls(int n) { return optional ? optional() : n; }\n")
        self.assert_refused(self.splice(way, "calls"), "libcalls.a(", "calls.o", "optional", "weak")

    @for_each(way=STATIC_WAYS)
    def test_weak_and_there(self, way):
        """A weak reference is to what another library defines, if one does."""
        self.library("calls", calls="extern int optional(int) __attribute__((weak));\n"
                                    "int calls(int n) { return optional ? optional(n) : n; }\n",
                     optional="int optional(int n) { return n + 5; }\n")
        done = self.splice(way, "calls")
        self.assertEqual(done.status, 0, done)
        self.assertIn("calls gives 17\n", done.stderr)

    @for_each(way=STATIC_WAYS)
    def test_common(self, way):
        """A common symbol in two members, which is one variable to other linkers: named, with the first member."""
        self.library("calls", flags=("-O1", "-fPIC", "-fcommon"),
                     calls="int shared; void set(int); int calls(int n) { set(n); return shared; }\n",
                     setting="int shared; void set(int n) { shared = n + 7; }\n")
        done = self.splice(way, "calls")
        self.assert_refused(done, "duplicate definition")
        # Newer GHCs number the members.
        self.assertRegex(done.stderr, r"   shared\n(.*\n)*.*libcalls\.a\((#\d+:)?calls\.o\)\n")


@expand
class FileNames(CTest):
    """Names of files that are not in ASCII."""

    def locale(self, charset):
        """The environment of a locale with this character set."""
        directory = self.workspace.tmp / "locales"
        directory.mkdir()
        self.command("localedef", "--no-archive", "-i", "en_US", "-f", charset, directory / f"en_US.{charset}")
        return {"LOCPATH": str(directory), "LC_ALL": f"en_US.{charset}"}

    def splice_from(self, way, directory, charset):
        """Compiles with the library in a directory of this name, in a locale of this character set."""
        self.library("calls", calls="int calls(int n) { return n + 1; }")
        path = os.path.join(os.fsencode(self.workspace.cwd), directory.encode(charset))
        os.mkdir(path)
        os.rename(self.workspace.cwd / "libcalls.a", os.path.join(path, b"libcalls.a"))
        return self.splice(way, "calls", directory=self.workspace.cwd / directory, locale=self.locale(charset))

    # In the dynamic way GHC has gcc link the library, and tells it the directory in UTF-8, whatever its locale.
    @for_each(way=STATIC_WAYS, charset=("ISO-8859-1", "ISO-8859-15"))
    def test_in_its_character_set(self, way, charset):
        """A library is found whose directory's name GHC has decoded by its locale."""
        done = self.splice_from(way, "caf\u00e9\u00df" + ("" if charset == "ISO-8859-1" else "\u20ac"), charset)
        self.assertEqual(done.status, 0, done)
        self.assertIn("calls gives 13\n", done.stderr)

    def test_in_another_character_set(self):
        """What cannot be told is not guessed at: the character set is named."""
        done = self.splice_from(STATIC_WAYS[0], "\u0436", "KOI8-R")
        self.assert_refused(done, "KOI8-R", "LC_ALL=C.UTF-8")
