"""The parts of GHC's test suite that judge an external interpreter, and what to expect of them."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Suite:
    """One folder of GHC's test suite in one of its ways.

    `flags` are given to every GHC, `variables` to make.
    """

    folder: str
    way: str
    flags: tuple = ()
    variables: tuple = ()


@dataclass(frozen=True)
class Expectation:
    """What a suite does with GHC's own ghc-iserv, of the version and Debian that it is listed under.

    `passes` is the number of tests that pass: fewer mean that tests were skipped. `known` names tests
    that fail with ghc-iserv as well, with the reason.
    """

    passes: int
    known: dict = field(default_factory=dict)


# The tests give -dynamic to what they compile if GHC is dynamic, for the in-process interpreter;
# GhcDynamic=NO keeps that from being joined with -prof.
#
# In the way ghci-ext only a handful of the tests start an external interpreter: most of those that
# run there are driven by a Makefile, which does not ask for one. The suite ghci-external gives
# -fexternal-interpreter to every test of the folder.
SUITES = {
    "th": Suite("th", "ext-interp"),
    "th-profiling": Suite("th", "ext-interp", ("-prof",), ("GhcDynamic=NO",)),
    "th-dynamic": Suite("th", "ext-interp", ("-dynamic",)),
    "ghci": Suite("ghci", "ghci-ext"),
    "ghci-external": Suite("ghci", "ghci", ("-fexternal-interpreter",)),
}
DEFAULT_SUITES = ("th", "ghci")

PRINTS_FLAGS = "prints the flags that are set, -fexternal-interpreter among them"
PLUGIN = "GHC runs no plugin with an external interpreter"
LOADS_DYNAMIC = "makes a dynamic object, which a vanilla external interpreter does not load"
OTHER_FOLDER = "needs a file of another folder of the suite"
QUICKCHECK = "needs an ancient QuickCheck; skipped where none is installed"
EVALUATES_ITSELF = "GHC evaluates nothing it needs itself with an external interpreter"
OTHER_PACKAGES = "shows names of whatever packages are installed"
INSTANCE_ORDER = "the order of instances differs with an external interpreter"

# Of the later GHCs, with whose ghc-iserv these tests were run one by one: it is too slow for the whole folder.
GHCI_KNOWN = {
    "Defer02": OTHER_FOLDER,
    "ghci024": PRINTS_FLAGS,
    "ghci061": EVALUATES_ITSELF,
    "T15633a": PLUGIN,
    "T15633b": PLUGIN,
    "ghci058": LOADS_DYNAMIC,
    "ghci.prog010": LOADS_DYNAMIC,
    "prog015": OTHER_PACKAGES,
    "T5979": OTHER_PACKAGES,
}

EXPECTATIONS = {
    "9.0.2": {  # Debian 12
        "th": Expectation(355),
        "th-profiling": Expectation(353, {
            "path_with_commas": "wants libraries that are dynamic and profiled",
            "T2014": "does not ask for an external interpreter",
        }),
        "th-dynamic": Expectation(355),
        "ghci": Expectation(26),
        "ghci-external": Expectation(305, {
            "Defer02": OTHER_FOLDER,
            "ghci014": QUICKCHECK,
            "ghci024": PRINTS_FLAGS,
            "ghci057": PRINTS_FLAGS,
            "T9293": PRINTS_FLAGS,
            "ghci061": EVALUATES_ITSELF,
            "T15633a": PLUGIN,
            "T15633b": PLUGIN,
            "ghci058": LOADS_DYNAMIC,
            "ghci.prog010": LOADS_DYNAMIC,
        }),
    },
    "9.6.6": {  # Debian 13
        "th": Expectation(399),
        "ghci": Expectation(34),
        "ghci-external": Expectation(371, GHCI_KNOWN),
    },
    "9.10.3": {  # Debian testing, with the tests of 9.10.2
        "th": Expectation(452),
        "ghci": Expectation(34),
        "ghci-external": Expectation(383, {**GHCI_KNOWN, "ghci064": INSTANCE_ORDER}),
    },
}
