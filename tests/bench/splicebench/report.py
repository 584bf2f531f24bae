"""Tables for a terminal and for docs/measurements.md."""

import datetime
import statistics

from .bars import ratio
from .contenders import PEER
from .measure import OURS_COLD
from .project import peer_of

MODULE_MEANINGS = {
    "T": "one splice over base",
    "L": "`makeLenses` and `makePrisms` (lens: 49 libraries)",
    "J": "`deriveJSON` (aeson)",
    "Y": "a Yesod application with routes and two quasi-quoted pages",
}

CASE_HEADINGS = ["module", "interpreter", "wait, ms", "of ghc-iserv", "turns", "median turn, µs",
                 "bytes to / from", "ghc -c, ms", "of ghc-iserv"]
PROJECT_HEADINGS = ["way", "interpreter", "wall, s", "of ghc-iserv", "CPU, s"]


def number(value, scale=1.0, digits=0):
    return "–" if value is None else f"{value * scale:.{digits}f}"


def case_rows(measurements, ghc, way):
    """The rows of one table: one way of one GHC."""
    chosen = [m for m in measurements if m.ghc == ghc and m.way == way]
    peers = {m.module: m for m in chosen if m.contender == PEER}
    rows = []
    for m in chosen:
        if m.failure:
            rows.append([m.module, m.contender, "failed"] + ["–"] * (len(CASE_HEADINGS) - 3))
            continue
        peer = peers.get(m.module)
        sent = m.meter_median("bytes_to_interpreter")
        received = m.meter_median("bytes_from_interpreter")
        rows.append([m.module, m.contender,
                     number(m.wait, 1e3), number(ratio(m.wait, peer and peer.wait), digits=2),
                     number(m.meter_median("turns")),
                     number(m.meter_median("median_turn_ns"), 1e-3),
                     "–" if sent is None else f"{number(sent)} / {number(received)}",
                     number(m.wall, 1e3), number(ratio(m.wall, peer and peer.wall), digits=2)])
    return rows


def project_rows(results, ghc):
    rows = []
    for result in (r for r in results if r.ghc == ghc):
        if result.failure:
            rows.append([result.way, result.contender, "failed", "–", "–"])
            continue
        wall = statistics.median(result.walls)
        peer = peer_of(results, result)
        rows.append([result.way, result.contender, number(wall, digits=1),
                     number(ratio(wall, peer and statistics.median(peer.walls)), digits=2),
                     number(statistics.median(result.cpus), digits=1)])
    return rows


def text_table(headings, rows):
    """Columns padded to their widest cell; the first two are words, the rest are figures."""
    widths = [max(len(row[i]) for row in [headings, *rows]) for i in range(len(headings))]

    def line(cells):
        padded = [cell.ljust(width) if i < 2 else cell.rjust(width)
                  for i, (cell, width) in enumerate(zip(cells, widths))]
        return "  ".join(padded).rstrip()

    return "\n".join([line(headings), line(["-" * width for width in widths]),
                      *(line(row) for row in rows)])


def markdown_table(headings, rows):
    rule = ["---", "---", *["--:"] * (len(headings) - 2)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [headings, rule, *rows])


def ordered(values):
    return list(dict.fromkeys(values))


def sections(measurements, projects, table, heading):
    """The tables, each under a heading, made by the given functions."""
    parts = []
    for ghc in ordered([m.ghc for m in measurements] + [r.ghc for r in projects]):
        for way in ordered(m.way for m in measurements if m.ghc == ghc):
            parts += [heading(f"GHC {ghc}, {way}"),
                      table(CASE_HEADINGS, case_rows(measurements, ghc, way))]
        rows = project_rows(projects, ghc)
        if rows:
            shape = next(r for r in projects if r.ghc == ghc)
            parts += [heading(f"GHC {ghc}, a project of {shape.modules} modules, one ghc -c each, "
                              f"{shape.jobs} at a time"),
                      table(PROJECT_HEADINGS, rows)]
    return parts


def failure_lines(measurements, projects):
    lines = [f"{m.contender}, GHC {m.ghc} {m.way} {m.module}: {m.failure}"
             for m in measurements if m.failure]
    return lines + [f"{r.contender}, GHC {r.ghc} {r.way}, project: {r.failure}"
                    for r in projects if r.failure]


def as_text(measurements, projects):
    """What a person reads on a terminal."""
    parts = sections(measurements, projects, text_table, lambda text: text)
    failures = failure_lines(measurements, projects)
    if failures:
        parts.append("failures:\n" + "\n".join("  " + line for line in failures))
    return "\n\n".join(parts)


def verdict_lines(verdicts):
    """The bars with what was measured, for --check."""
    lines = []
    for verdict in verdicts:
        word = "met   " if verdict.met else "MISSED"
        lines.append(f"{word} {verdict.what}: {number(verdict.measured, digits=3)} of ghc-iserv's, "
                     f"at most {verdict.limit}")
    return "\n".join(lines)


def verdict_rows(verdicts):
    return [[v.what, "met" if v.met else "**missed**", number(v.measured, digits=3), str(v.limit)]
            for v in verdicts]


def as_markdown(measurements, projects, verdicts, machine, rounds):
    """The whole of docs/measurements.md."""
    modules = ordered(m.module for m in measurements)
    parts = [
        "# Measurements",
        "Written by `tests/bench/bench.py --write`; not edited by hand. Absolute times are those "
        "of the machine below and drift with its load; contenders are run in turn, and the ratios "
        "are what to look at.",
        markdown_table(["machine", ""], [[what, value] for what, value in machine]
                       + [["date", datetime.date.today().isoformat()],
                          ["GHC", ", ".join(ordered(m.ghc for m in measurements))],
                          ["figures", f"medians of {rounds} runs, page cache warm"]]),
        "## What is measured",
        "**Wait** is the interpreter wait: the time in one `ghc -c` during which it is the "
        "interpreter's turn, from the last byte of each request on GHC's pipe to the first byte of "
        "the answer, summed. The first request counts from when it was sent, so a slow start-up "
        "counts. A **turn** is one request with its answer. A meter between GHC and the "
        "interpreter finds these; it adds two process switches to each turn, for every contender "
        "alike. "
        "**`ghc -c`** is the wall time of the whole compile without the meter.",
        f"**ghc-iserv** is GHC's own external interpreter, **{OURS_COLD}** is ours with nothing "
        "shared between compiles, **in-process** is GHC running the splices itself (only in the "
        "ways that GHC can load).",
        "\n".join(f"- `{module}`: {MODULE_MEANINGS[module]}" for module in modules),
        *sections(measurements, projects, markdown_table, lambda text: f"## {text}"),
    ]
    failures = failure_lines(measurements, projects)
    if failures:
        parts += ["## Failures", "\n".join(f"- {line}" for line in failures)]
    if verdicts:
        parts += ["## Bars", markdown_table(["bar", "", "measured", "at most"],
                                            verdict_rows(verdicts))]
    return "\n\n".join(parts) + "\n"
