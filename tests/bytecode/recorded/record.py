#!/usr/bin/env python3
"""Records the CreateBCOs messages that a GHC sends to its external interpreter.

Stands between GHC and its ghc-iserv and writes the payload of each CreateBCOs message (without the
tag byte) to the file $RECORD_TO-<number>.bin. GHC starts an interpreter as
PROG<way> <write-fd> <read-fd> [options], with "", "-prof" or "-dyn" as the way, so link this
script to a name for each way that is wanted:

    ln -s record.py record.py-prof
    RECORD_TO=/tmp/lens ghc -fexternal-interpreter -pgmi $PWD/record.py -c Lens.hs

GHC waits for the answer to a message before it sends the next, so what it wrote until the
interpreter answers is one message; that spares this script a parser of all the others.
"""

import os
import subprocess
import sys
import threading

ISERV = os.environ.get("RECORD_ISERV", "/usr/lib/ghc/bin/ghc-iserv")
CREATE_BCOS = 12  # GHCi.Message, GHC 9.0.2


def is_list_of_byte_strings(payload):
    """Whether payload is exactly one `binary` encoding of [lazy ByteString]."""
    offset = 8
    for _ in range(min(int.from_bytes(payload[:8], "big"), len(payload))):
        offset += 8 + int.from_bytes(payload[offset : offset + 8], "big")
    return offset == len(payload)


class Recorder:
    """Keeps what GHC has written since the last answer, and saves it if it is a CreateBCOs."""

    def __init__(self, path):
        self.path, self.count, self.message = path, 0, b""

    def on_request(self, data):
        self.message += data

    def on_answer(self, _data):
        message, self.message = self.message, b""
        if message[:1] == bytes([CREATE_BCOS]) and is_list_of_byte_strings(message[1:]):
            self.count += 1
            with open(f"{self.path}-{self.count}.bin", "wb") as out:
                out.write(message[1:])


def pump(source, sink, observe):
    while data := os.read(source, 1 << 16):
        observe(data)
        while data:
            data = data[os.write(sink, data) :]
    os.close(sink)


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
    recorder = Recorder(os.environ["RECORD_TO"])
    for source, sink, observe in (
        (from_ghc, requests_in, recorder.on_request),
        (answers_out, to_ghc, recorder.on_answer),
    ):
        threading.Thread(target=pump, args=(source, sink, observe), daemon=True).start()
    sys.exit(iserv.wait())


if __name__ == "__main__":
    main()
