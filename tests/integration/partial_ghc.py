"""A GHC like the one under test, of which some files are missing.

It has its own libdir, made of links to the files of the real one, and its own package database with the
packages that come with GHC.
"""

import fnmatch
import os
import pathlib
import re
import subprocess

from support import GHC

PROFILING_FILES = ("*.p_hi", "*.p_o", "*_p.a", "*_debug_p.a", "*_l_p.a", "*_thr_p.a")
DYNAMIC_FILES = ("*.dyn_hi", "*.so")


def _ask(*words):
    return subprocess.run([GHC, *words], check=True, capture_output=True, text=True).stdout.strip()


def make(directory, without=(), bring_libffi=False):
    """Makes the GHC in a directory that does not exist yet; returns its program.

    `without` are patterns of file names. With `bring_libffi` it has a libffi of its own, as the GHCs of
    ghcup have. Each run of the program adds a line to `calls` in the directory.
    """
    real = pathlib.Path(_ask("--print-libdir")).resolve()
    directory = pathlib.Path(directory)
    libdir = directory / "lib"
    program = directory / "bin" / "ghc"
    _link_tree(real, libdir, without)
    _copy_packages(real, libdir)
    if bring_libffi:
        _bring_libffi(libdir)
    # GHCs since 9.4 have their programs beside their libraries' directory.
    programs = real / "bin"
    if not (programs / "ghc").exists():
        programs = real.parent / "bin"
        _link_tree(programs, program.parent, (*without, "ghc"))
    program.parent.mkdir(exist_ok=True)
    subprocess.run([programs / "ghc-pkg", "--global-package-db", libdir / "package.conf.d",
                    "--no-user-package-db", "recache"], check=True, capture_output=True)
    program.write_text(f'#!/bin/sh\necho "$@" >> {directory}/calls\nexec {programs}/ghc -B{libdir} "$@"\n')
    program.chmod(0o755)
    return program


def stranger(path, version):
    """A program that answers as a GHC of some version, and can do no more."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n[ "$1" = --numeric-version ] && echo {version} || echo /nonexistent\n')
    path.chmod(0o755)
    return path


def calls(program):
    """How often the GHC has been run."""
    log = pathlib.Path(program).parents[1] / "calls"
    return len(log.read_text().splitlines()) if log.exists() else 0


def _link_tree(real, copy, without):
    for path, directories, files in os.walk(real):
        here = copy / pathlib.Path(path).relative_to(real)
        here.mkdir(parents=True)
        directories[:] = [name for name in directories if name not in ("html", "latex")]
        for name in files:
            if not any(fnmatch.fnmatch(name, pattern) for pattern in without):
                (here / name).symlink_to(pathlib.Path(path) / name)


def _copy_packages(real, copy):
    # Debian's is a link, which is not walked.
    (copy / "package.conf.d").mkdir(exist_ok=True)
    for conf in (real / "package.conf.d").glob("*.conf"):
        text = conf.read_text(encoding="utf-8")
        if f"{real}/" in text:
            (copy / "package.conf.d" / conf.name).write_text(text.replace(f"{real}/", f"{copy}/"))


def _bring_libffi(libdir):
    library = subprocess.run(["g++", "-print-file-name=libffi.a"], check=True, capture_output=True, text=True)
    directory = next(libdir.rglob("libHSrts*.a")).parent
    for name in ("libCffi.a", "libCffi_p.a"):
        (directory / name).symlink_to(library.stdout.strip())
    [conf] = (libdir / "package.conf.d").glob("rts*.conf")
    text, changes = re.subn(r"\b(HSrts\S*)", r"\1 Cffi", conf.read_text())
    text, more_changes = re.subn(r"( ffi)\b", "", text)
    assert (changes, more_changes) == (1, 1), text
    conf.write_text(text)
