"""The installed packages, in an order in which each comes after what it needs, with something to
evaluate in each.

A module of expressions (see `module_text`) makes an interpreter load the first n packages and run code
of every one of them.
"""

import heapq
import re
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

# What an argument of a function can be, by its type.
ARGUMENTS = {"Int": "1", "Integer": "1", "Word": "1", "Double": "1", "Char": "'1'", "Bool": "True",
             "String": '"1"', "[Char]": '"1"', "()": "()"}

# Nothing of these is evaluated, since ghc-iserv could not take part any more. bitvec's code asks which processor
# it runs on by a symbol of libgcc that the RTS does not know; tests/integration/ghci/processor.script is about that.
BEYOND_GHC_ISERV = ("bitvec",)

# Functions applied to arguments run most code, a constant may, a function by itself is just there.
APPLICATION, CONSTANT, FUNCTION = range(3)

# These may do anything, even as a value.
DANGEROUS = ("unsafe", "trace", "undefined")

# What :browse puts before a name whose module is hidden, and a line of it. Names are qualified.
HIDDEN_ORIGIN = re.compile(r"[\w-]+-[\d.]+:")
DECLARATION = re.compile(r"^(?:[A-Z][\w']*\.)*([a-z][\w']*) :: (.*)$", re.MULTILINE)

# Types that can stand for a variable, by the classes that it must be in.
INSTANCES = {"Maybe": {"Functor", "Applicative", "Monad", "Foldable", "Traversable", "MonadFail",
                       "GHC.Base.Alternative", "GHC.Base.MonadPlus",
                       "GHC.Internal.Base.Alternative", "GHC.Internal.Base.MonadPlus"},
             "IO": {"Functor", "Applicative", "Monad", "MonadFail",
                    "Control.Monad.IO.Class.MonadIO", "GHC.Internal.Control.Monad.IO.Class.MonadIO"},
             "Int": {"Eq", "Ord", "Show", "Read", "Enum", "Bounded", "Num", "Real", "Integral"},
             "Double": {"Eq", "Ord", "Show", "Read", "Num", "Real", "Fractional", "RealFrac",
                        "Floating", "RealFloat"},
             "String": {"Eq", "Ord", "Show", "Read", "Semigroup", "Monoid", "Data.String.IsString",
                        "GHC.Internal.Data.String.IsString"}}

CANDIDATES = 3  # of a package; the further ones would not compile either

MODULES_TO_BROWSE = 6  # of a package, the ones with the shortest names: they are for users

# GHC reads hundreds of interfaces, and would mostly collect garbage.
SPACE = ("+RTS", "-A64m", "-RTS")

LIBRARY_NAMES = {"vanilla": "lib{}.a", "profiling": "lib{}_p.a", "dynamic": "lib{}-ghc{ghc}.so"}


@dataclass(frozen=True)
class Package:
    """An entry of the global package database."""

    name: str
    unit: str
    modules: tuple
    folders: dict  # of libraries, by kind: static, dynamic
    libraries: tuple
    depends: tuple

    def files(self, way, ghc_version):
        """The libraries that an interpreter of this way loads."""
        kind = "dynamic" if way == "dynamic" else "static"
        names = [LIBRARY_NAMES[way].format(library, ghc=ghc_version) for library in self.libraries]
        paths = [Path(folder) / name for folder in self.folders[kind] for name in names]
        return [path for path in paths if path.exists()]


@dataclass(frozen=True)
class Probe:
    """An expression whose evaluation runs code of a package."""

    package: Package
    module: str
    applied: tuple  # a name and its arguments
    kind: int


def installed_packages(ghc):
    """The exposed packages of the global database, each after what it needs, then by name."""
    dump = subprocess.run([ghc.package_tool(), "dump", "--global"], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    found = {}
    for entry in dump.split("\n---\n"):
        fields = read_fields(entry)
        if fields.get("exposed") == "True" and fields.get("hs-libraries") and fields["name"] != "rts":
            package = read_package(fields)
            found[package.unit] = package
    return in_order(found)


def read_fields(entry):
    """{name: text} of an entry; the lines of a text are joined."""
    fields = {}
    name = None
    for line in entry.splitlines():
        start = re.match(r"([\w-]+): *(.*)", line)
        if start:
            name, text = start.groups()
            fields[name] = text.strip('"')
        elif name:
            fields[name] += " " + line.strip()
    return fields


def read_package(fields):
    # With modules of other packages among them, the list has commas: "A, B from package:B".
    modules = fields.get("exposed-modules", "")
    listed = modules.split(",") if "," in modules else modules.split()
    own = [module.strip() for module in listed if " from " not in module]
    root = fields.get("pkgroot", "")

    def folders(field):
        return tuple(folder.replace("${pkgroot}", root) for folder in fields.get(field, "").split())

    return Package(fields["name"], fields["id"], tuple(own),
                   {"static": folders("library-dirs"), "dynamic": folders("dynamic-library-dirs")},
                   tuple(fields["hs-libraries"].split()), tuple(fields.get("depends", "").split()))


def in_order(packages):
    """The packages of a dictionary {unit: package}, each after what it needs, the first by name first."""
    needed_by = {unit: [] for unit in packages}
    missing = {}
    for unit, package in packages.items():
        needs = {need for need in package.depends if need in packages}
        missing[unit] = len(needs)
        for need in needs:
            needed_by[need].append(unit)
    ready = [(packages[unit].name, unit) for unit, count in missing.items() if count == 0]
    heapq.heapify(ready)
    ordered = []
    while ready:
        _, unit = heapq.heappop(ready)
        ordered.append(packages[unit])
        for other in needed_by[unit]:
            missing[other] -= 1
            if missing[other] == 0:
                heapq.heappush(ready, (packages[other].name, other))
    return ordered


def find_probes(ghc, packages, wanted):
    """A probe for each of the first `wanted` packages that have any, in their order."""
    exposed_by = {}
    for package in packages:
        for module in package.modules:
            exposed_by.setdefault(module, []).append(package.unit)
    to_browse = {package.unit: [module for module in sorted(package.modules, key=lambda m: (len(m), m))
                                if len(exposed_by[module]) == 1][:MODULES_TO_BROWSE]
                 for package in packages if package.name not in BEYOND_GHC_ISERV}
    packages = [package for package in packages if package.unit in to_browse]
    probes = []
    while packages and len(probes) < wanted:
        some, packages = packages[:2 * wanted], packages[2 * wanted:]
        declared = browse(ghc, [module for package in some for module in to_browse[package.unit]])
        probes += first_that_compile(ghc, [
            candidates(package, to_browse[package.unit], declared, ghc.version) for package in some])
    return probes[:wanted]


def candidates(package, modules, declared, ghc_version):
    """The probes of a package, those that run most first."""
    defined = closures(package, ghc_version)
    return sorted((Probe(package, module, applied, kind)
                   for module in modules for name, signature in declared.get(module, ())
                   if z_encoded(name) in defined and not name.startswith(DANGEROUS)
                   for kind, applied in application(name, signature)),
                  key=lambda probe: probe.kind)[:CANDIDATES]


def first_that_compile(ghc, choices):
    """The first probe of each list that compiles: what a type synonym stands for is not seen before."""
    choices = [choice for choice in choices if choice]
    with tempfile.TemporaryDirectory(prefix="splicehost-bench-") as folder:
        while refused := refused_probes(ghc, [choice[0] for choice in choices], Path(folder)):
            choices = [choice[number in refused:] for number, choice in enumerate(choices)]
            choices = [choice for choice in choices if choice]
    return [choice[0] for choice in choices]


def refused_probes(ghc, probes, folder):
    """The numbers of the probes that have a type error."""
    source = folder / "Check.hs"
    text = [*header("Check", probes), "outcomes :: IO [String]", "outcomes =", "  let",
            *EVALUATED.splitlines(), "  in sequence ["]
    source.write_text("\n".join([*text, ",\n".join(expressions(probes)), "  ]", ""]))
    said = subprocess.run([ghc.path, "-v0", "-fno-code", "-c", str(source), "-package-env=-",
                           "-no-user-package-db", *SPACE], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    lines = {int(line) for line in re.findall(r"Check\.hs:(\d+):\d+(?:-\d+)?: error", said.stdout)}
    refused = {line - len(text) - 1 for line in lines} & set(range(len(probes)))
    if said.returncode != 0 and not refused:
        raise RuntimeError(f"cannot compile what is to be evaluated: {said.stdout}")
    return refused


def browse(ghc, modules):
    """{module: [(name, type)]} of the functions and constants that modules export."""
    script = "".join(f'putStrLn "\\nmodule {module}"\n:browse {module}\n' for module in modules)
    said = subprocess.run([ghc.path, "--interactive", "-v0", "-ignore-dot-ghci", "-package-env=-",
                           "-no-user-package-db", "-fprint-explicit-foralls", *SPACE], check=True,
                          text=True, input=script,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    declared = {}
    for part in ("\n" + said).split("\nmodule ")[1:]:
        module, _, text = part.partition("\n")
        joined = re.sub(r"\n\s+", " ", HIDDEN_ORIGIN.sub("", text))
        declared[module] = DECLARATION.findall(joined)
    return declared


def application(name, signature):
    """How to make an expression of a name: nothing, or (kind, (name, argument ...)).

    Every type must be clear without a context, and none unlifted: such a value cannot be passed on.
    """
    quantified, variables, rest = re.fullmatch(r"(forall (.*?)\. )?(.*)", signature).groups()
    context, _, plain = rest.rpartition("=>")
    types = type_arguments(variables, context) if quantified else ()
    if types is None or re.search(r"#|\bforall\b|\?|::", rest) or (context and not types):
        return
    *arguments, _ = at_arrows(plain)
    if not arguments:
        yield (FUNCTION if types or plain.startswith("IO ") else CONSTANT), (name, *types)
    elif all(argument in ARGUMENTS for argument in arguments):
        yield APPLICATION, (name, *types, *(ARGUMENTS[argument] for argument in arguments))
    else:
        yield FUNCTION, (name, *types)


def type_arguments(variables, context):
    """What to apply a name to so that its context holds; None if that is not known."""
    classes = {}
    for constraint in context.strip().strip("()").split(",") if context else ():
        match = re.fullmatch(r"([\w.]+) ([a-z]\w*)", constraint.strip())
        if not match:
            return None
        classes.setdefault(match[2], set()).add(match[1])
    chosen = {variable: next((name for name, instances in INSTANCES.items() if wanted <= instances), None)
              for variable, wanted in classes.items()}
    if None in chosen.values():
        return None
    # As in `forall {k} (f :: k -> *) a.`: what stands in braces cannot be given.
    given = re.findall(r"\(([\w']+) ::[^()]*(?:\([^()]*\)[^()]*)*\)|([\w']+)",
                       re.sub(r"\{[^}]*\}", "", variables))
    return tuple("@" + chosen.get(kinded or simple, "_") for kinded, simple in given) if chosen else ()


def at_arrows(signature):
    """The parts of a type between its outer arrows."""
    parts, depth, start = [], 0, 0
    for position, character in enumerate(signature):
        depth += (character in "([") - (character in ")]")
        if depth == 0 and signature.startswith("->", position):
            parts.append(signature[start:position].strip())
            start = position + 2
    return [*parts, signature[start:].strip()]


def closures(package, ghc_version):
    """The names, encoded, of whatever a package's archives define at the top level of a module."""
    return {symbol.split("_")[2] for path in package.files("vanilla", ghc_version)
            for symbol in archive_symbols(path) if re.fullmatch(r"[^_]+_[^_]+_[^_]+_closure", symbol)}


def archive_symbols(path):
    """The index of an archive: the System V format, as binutils write it."""
    with open(path, "rb") as archive:
        magic, header = archive.read(8), archive.read(60)
        name = header[:16].strip()
        if magic != b"!<arch>\n" or name not in (b"/", b"/SYM64/"):
            return []
        index = archive.read(int(header[48:58]))
    word = 8 if name == b"/SYM64/" else 4
    count = struct.unpack(">Q" if word == 8 else ">I", index[:word])[0]
    return index[word * (count + 1):].decode("ascii", "replace").split("\0")[:count]


def z_encoded(name):
    """A name that starts with a lower case letter as it stands in symbols."""
    special = {"z": "zz", "Z": "ZZ", "'": "zq", "_": "zu"}
    return "".join(special.get(character, character) for character in name)


def closure_of(some, packages):
    """Some of the packages with all that they need, in the order of all."""
    by_unit = {package.unit: package for package in packages}
    wanted = [package.unit for package in some]
    found = set()
    while wanted:
        unit = wanted.pop()
        if unit not in found and unit in by_unit:
            found.add(unit)
            wanted += by_unit[unit].depends
    return [package for package in packages if package.unit in found]


def header(name, probes):
    """The lines of a module before the expressions."""
    imports = [f'import qualified "{probe.package.name}" {probe.module} as P{number}'
               for number, probe in enumerate(probes)]
    return ["{-# LANGUAGE PackageImports, TemplateHaskell, TypeApplications #-}",
            "{-# OPTIONS_GHC -w #-}",
            f"module {name} where",
            "",
            "import Control.Exception (SomeException, evaluate, try)",
            "import Language.Haskell.TH (runIO)",
            *imports,
            ""]


def expressions(probes):
    return [f'    evaluated "{probe.package.name}" (P{number}.{" ".join(probe.applied)})'
            for number, probe in enumerate(probes)]


EVALUATED = """\
    evaluated :: String -> a -> IO String
    evaluated package value = either threw ran <$> try (evaluate value)
      where
        threw :: SomeException -> String
        threw _ = package ++ " threw"
        ran _ = package ++ " ran"
"""


def module_text(name, probes):
    """A module with one splice, which evaluates all probes.

    It writes a line for each to the file `evaluated`, and goes on until the file `release` has been
    read to its end, as modules/H.hs does. A probe that throws an exception has run.
    """
    return "\n".join([*header(name, probes), "$(do", "  let", EVALUATED,
                      "  outcomes <- runIO (sequence [",
                      ",\n".join(expressions(probes)),
                      "    ])",
                      "  runIO (writeFile \"evaluated\" (unlines outcomes) >> writeFile \"holding\" \"\")",
                      "  released <- runIO (readFile \"release\")",
                      "  length released `seq` pure [])",
                      ""])
