#!/usr/bin/env python3
"""Records what a GHC and its external interpreter say to each other.

Stands between GHC and its ghc-iserv and writes the file $RECORD_TO: turns, each a byte that tells who
speaks ('>' GHC, '<' the interpreter), the length in 4 bytes (most significant first) and the bytes
that were said before the other side spoke. GHC starts an interpreter as
PROG<way> <write-fd> <read-fd> [options], with "", "-prof" or "-dyn" as the way, so link this script to
a name for each way that is wanted:

    RECORD_TO=/tmp/lens ghc -fexternal-interpreter -pgmi $PWD/record.py -c Lenses.hs
"""

import os
import select
import subprocess
import sys

ISERV = os.environ.get("RECORD_ISERV", "/usr/lib/ghc/bin/ghc-iserv")


def write_all(fd, data):
    while data:
        data = data[os.write(fd, data) :]


def main():
    to_ghc, from_ghc = int(sys.argv[1]), int(sys.argv[2])
    way = next((w for w in ("-prof", "-dyn") if sys.argv[0].endswith(w)), "")
    requests_out, requests_in = os.pipe()
    answers_out, answers_in = os.pipe()
    iserv = subprocess.Popen(
        [ISERV + way, str(answers_in), str(requests_out), *sys.argv[3:]],
        pass_fds=(answers_in, requests_out),
    )
    os.close(answers_in)
    os.close(requests_out)

    # One thread sees both directions in the order in which they happen: neither side speaks before
    # this script has passed on what it waits for.
    routes = {from_ghc: (requests_in, b">"), answers_out: (to_ghc, b"<")}
    turns = []
    while routes:
        for source in select.select(list(routes), [], [])[0]:
            sink, speaker = routes[source]
            data = os.read(source, 1 << 16)
            if not data:
                os.close(sink)
                del routes[source]
                continue
            if not turns or turns[-1][0] != speaker:
                turns.append([speaker, b""])
            turns[-1][1] += data
            write_all(sink, data)
    with open(os.environ["RECORD_TO"], "wb") as out:
        for speaker, data in turns:
            out.write(speaker + len(data).to_bytes(4, "big") + data)
    sys.exit(iserv.wait())


if __name__ == "__main__":
    main()
