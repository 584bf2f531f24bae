"""Messages that GHC sends, in its own encoding, as far as tests write some by hand."""

SHUTDOWN = b"\x00"
INIT_LINKER = b"\x01"
RESOLVE_OBJS = b"\x0a"
START_TH = b"\x1f"


def number(value):
    return value.to_bytes(8, "big", signed=True)


def text(value):
    """A Haskell String: the number of characters, then each in UTF-8."""
    return number(len(value)) + value.encode()


def lookup_symbol(name):
    return b"\x02" + text(name)


def load_dll(path):
    return b"\x04" + text(str(path))


def load_archive(path):
    return b"\x05" + text(str(path))


def load_obj(path):
    return b"\x06" + text(str(path))


def create_bcos(*lists):
    """Each argument is an encoded list of byte code objects."""
    return b"\x0c" + number(len(lists)) + b"".join(number(len(data)) + data for data in lists)
