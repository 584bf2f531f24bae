"""The parts of GHC's test suite that judge an external interpreter, and what to expect of them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Suite:
    """One folder of GHC's test suite in one of its ways.

    `passes` is the number of tests that pass with GHC 9.0.2's own ghc-iserv, on Debian 12: fewer
    mean that tests were skipped. `flags` are given to every GHC, `variables` to make. `known` names
    tests that fail with ghc-iserv as well, with the reason.
    """

    folder: str
    way: str
    passes: int
    flags: tuple = ()
    variables: tuple = ()
    known: dict = field(default_factory=dict)


PRINTS_FLAGS = "prints the flags that are set, -fexternal-interpreter among them"
PLUGIN = "GHC runs no plugin with an external interpreter"
LOADS_DYNAMIC = "makes a dynamic object, which a vanilla external interpreter does not load"

# The tests give -dynamic to what they compile if GHC is dynamic, for the in-process interpreter;
# GhcDynamic=NO keeps that from being joined with -prof.
#
# In the way ghci-ext only a handful of the tests start an external interpreter: most of those that
# run there are driven by a Makefile, which does not ask for one. The suite ghci-external gives
# -fexternal-interpreter to every test of the folder.
SUITES = {
    "th": Suite("th", "ext-interp", 355),
    "th-profiling": Suite("th", "ext-interp", 353, ("-prof",), ("GhcDynamic=NO",), {
        "path_with_commas": "wants libraries that are dynamic and profiled",
        "T2014": "does not ask for an external interpreter",
    }),
    "th-dynamic": Suite("th", "ext-interp", 355, ("-dynamic",)),
    "ghci": Suite("ghci", "ghci-ext", 26),
    "ghci-external": Suite("ghci", "ghci", 305, ("-fexternal-interpreter",), known={
        "Defer02": "needs a file of another folder of the suite",
        "ghci014": "needs an ancient QuickCheck; skipped where none is installed",
        "ghci024": PRINTS_FLAGS,
        "ghci057": PRINTS_FLAGS,
        "T9293": PRINTS_FLAGS,
        "ghci061": "GHC evaluates nothing it needs itself with an external interpreter",
        "T15633a": PLUGIN,
        "T15633b": PLUGIN,
        "ghci058": LOADS_DYNAMIC,
        "ghci.prog010": LOADS_DYNAMIC,
    }),
}
DEFAULT_SUITES = ("th", "ghci")
