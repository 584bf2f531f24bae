"""Damages recorded streams: one change each, reproducible from a seed."""

import random

LENGTHS = (0, 1, -1, 255, 65536, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 62, -(1 << 63))
"""What a length field is replaced by."""

HEADER = 48
"""Bytes at the start of a piece, in which tags and lengths are likely."""


def mutate(pieces, seed):
    """Damages one place of the stream of pieces: (the damaged stream, what was done)."""
    source = random.Random(seed)
    stream = b"".join(pieces)
    place = pick_place(pieces, source)
    kind = source.choice(KINDS)
    return kind(stream, place, source), f"{kind.__name__} at {place} of {len(stream)} (seed {seed})"


def pick_place(pieces, source):
    """Anywhere, or near the start of a piece: messages begin there."""
    if source.random() < 0.3:
        return source.randrange(sum(map(len, pieces)))
    index = source.randrange(len(pieces))
    start = sum(map(len, pieces[:index]))
    return start + source.randrange(min(HEADER, len(pieces[index])))


def flip_bit(stream, place, source):
    return replaced(stream, place, bytes([stream[place] ^ 1 << source.randrange(8)]))


def change_byte(stream, place, source):
    return replaced(stream, place, bytes([source.randrange(256)]))


def change_length(stream, place, source):
    return replaced(stream, place, source.choice(LENGTHS).to_bytes(8, "big", signed=True))


def truncate(stream, place, _):
    return stream[:place]


def insert(stream, place, source):
    return stream[:place] + source.randbytes(source.randint(1, 24)) + stream[place:]


def remove(stream, place, source):
    return stream[:place] + stream[place + source.randint(1, 24):]


def duplicate(stream, place, source):
    return stream[:place] + stream[max(0, place - source.randint(1, 64)):]


KINDS = (flip_bit, change_byte, change_length, truncate, insert, remove, duplicate)


def replaced(stream, place, data):
    return stream[:place] + data + stream[place + len(data):]
