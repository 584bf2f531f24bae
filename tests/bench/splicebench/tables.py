"""Tables for a terminal and for Markdown. The first columns are words, the rest are figures."""


def number(value, scale=1.0, digits=0):
    return "–" if value is None else f"{value * scale:.{digits}f}"


def text_table(headings, rows, words=2):
    """Columns padded to their widest cell."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]

    def line(cells):
        padded = [cell.ljust(width) if i < words else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(cells, widths))]
        return "  ".join(padded).rstrip()

    return "\n".join([line(headings), line(["-" * width for width in widths]),
                      *(line(row) for row in rows)])


def markdown_table(headings, rows, words=2):
    rule = ["---"] * words + ["--:"] * (len(headings) - words)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [headings, rule, *rows])


def ordered(values):
    """Each value once, in the order in which it is first met."""
    return list(dict.fromkeys(values))
