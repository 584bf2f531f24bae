#!/usr/bin/env python3
"""Compiles docs/examples/project in all ways with our interpreter and with GHC's own, runs it, and
shows what each compile cost.

  try.py --iserv build/ghc-9.0.2/iserv
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from splicebench.ghc import Ghc

PROJECT = Path(__file__).resolve().parents[2] / "docs" / "examples" / "project"
MODULES = ("Types", "Messages", "Table", "Main")
WITH_SPLICES = MODULES[:-1]
WAYS = {"vanilla": [], "profiling": ["-prof"], "dynamic": ["-dynamic"]}


def run(command):
    """The command's standard output; ends the program if it fails."""
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\nfailed:\n{done.stdout}{done.stderr}")
    return done.stdout


def compile_all(ghc, interpreter, way, folder):
    """Seconds that each module's `ghc -c` took, and what the linked program prints."""
    common = [ghc, "-v0", "-outputdir", folder, "-i" + folder, *WAYS[way],
              "-fexternal-interpreter", "-pgmi", interpreter]
    seconds = {}
    for module in MODULES:
        started = time.monotonic()
        run([*common, "-c", f"{module}.hs"])
        seconds[module] = time.monotonic() - started
    objects = [f"{folder}/{module}.o" for module in MODULES]
    program = f"{folder}/program"
    run([*common, "-package", "lens", "-package", "aeson", *objects, "-o", program])
    return seconds, run([program])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--iserv", required=True, help="our interpreter, without a way's suffix")
    parser.add_argument("--ghc", default="ghc")
    arguments = parser.parse_args()
    iserv = str(Path(arguments.iserv).resolve())
    peer = str(Ghc(arguments.ghc).own_interpreter() or sys.exit("this GHC has no ghc-iserv to compare with"))

    rows, printed = [], set()
    with tempfile.TemporaryDirectory() as folder:
        # Once each for the file cache, so that neither pays for the other.
        for way in WAYS:
            cost = {}
            for name, interpreter in (("peer", peer), ("warm up", iserv), ("peer", peer), ("ours", iserv)):
                print(f"  {way} with {'ghc-iserv' if name == 'peer' else 'Splicehost'} ...", flush=True)
                output = f"{folder}/{way}-{name.replace(' ', '-')}-{len(printed)}"
                cost[name], text = compile_all(arguments.ghc, interpreter, way, output)
                printed.add(text)
            rows += [(way, module, cost["peer"][module], cost["ours"][module]) for module in WITH_SPLICES]
    if len(printed) != 1:
        sys.exit(f"the programs print different things: {printed}")

    print(f"\nThe program prints:\n{printed.pop()}")
    print(f"{'way':10} {'ghc -c':14} {'ghc-iserv':>10} {'Splicehost':>11} {'ratio':>6}")
    for way, module, peer_seconds, our_seconds in rows:
        print(f"{way:10} {module + '.hs':14} {peer_seconds * 1000:7.0f} ms {our_seconds * 1000:8.0f} ms "
              f"{our_seconds / peer_seconds:6.2f}")


if __name__ == "__main__":
    main()
