"""Stands between GHC and an interpreter and writes down what each says to the other.

Usage: recorder.py PROGRAM FILE <write-fd> <read-fd> [options]

GHC starts it in place of PROGRAM. FILE becomes a JSON list of [speaker, hexadecimal bytes], one
for each piece read, in order; the speaker is "ghc" or "interpreter".
"""

import json
import os
import select
import subprocess
import sys

from pipes import fix_addresses

PIECE = 1 << 20


def main():
    program, file, to_ghc, from_ghc, *options = sys.argv[1:]
    requests, to_program = os.pipe()
    from_program, answers = os.pipe()
    process = subprocess.Popen([program, str(answers), str(requests), *options],
                               pass_fds=(answers, requests), preexec_fn=fix_addresses)
    os.close(requests)
    os.close(answers)
    pieces = list(relay({int(from_ghc): ("ghc", to_program),
                         from_program: ("interpreter", int(to_ghc))}))
    with open(file, "w", encoding="ascii") as out:
        json.dump([(speaker, data.hex()) for speaker, data in pieces], out)
    sys.exit(process.wait())


def relay(routes):
    """Copies until the interpreter hangs up; yields what was said."""
    while any(speaker == "interpreter" for speaker, _ in routes.values()):
        ready, _, _ = select.select(list(routes), [], [])
        for source in ready:
            speaker, sink = routes[source]
            data = os.read(source, PIECE)
            if data:
                yield speaker, data
                write_all(sink, data)
            else:
                del routes[source]
                os.close(sink)


def write_all(sink, data):
    while data:
        data = data[os.write(sink, data):]


if __name__ == "__main__":
    main()
