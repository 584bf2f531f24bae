"""What was measured, for a terminal and for docs/measurements.md."""

import datetime
import statistics
from dataclasses import dataclass, field

from .bars import ratio
from .contenders import IN_PROCESS, OURS_COLD, OURS_REMOTE, OURS_WARM, PEER
from .measure import LOADS, SEARCHES
from .project import peer_of
from .tables import markdown_table, number, ordered, text_table

MODULE_MEANINGS = {
    "T": "one splice over base",
    "L": "`makeLenses` and `makePrisms` (lens: 49 libraries)",
    "J": "`deriveJSON` (aeson)",
    "Y": "a Yesod application with routes and two quasi-quoted pages",
}

# Where the wait goes is shown for this module.
BREAKDOWN_MODULE = "L"

# In a build of a project, "warm" would promise too much: it begins without a broker.
PROJECT_NAMES = {OURS_COLD: "splicehost, direct", OURS_WARM: "splicehost, shared"}

CASE_HEADINGS = ["module", "interpreter", "wait, ms", "of ghc-iserv", "turns", "median turn, µs",
                 "bytes to / from", "ghc -c, ms", "of ghc-iserv", "of in-process"]
TURN_HEADINGS = ["way", "module", "interpreter", "load, µs", "search, µs", "any, µs", "pipe, µs",
                 "on one CPU, µs"]
BREAKDOWN_HEADINGS = ["way", "message", "turns", "wait, ms", "part", "median, µs"]
MEMORY_HEADINGS = ["way", "interpreter", "no session, MB", "first adds", "further add each"]
SCALE_HEADINGS = ["way", "interpreter", "packages", "libraries", "MB", "wait, ms", "of ghc-iserv", "ms per MB",
                  "peak of a process, MB", "all processes, MB", "of it the session"]
PROJECT_HEADINGS = ["way", "interpreter", "wall, s", "of ghc-iserv", "CPU, s"]


@dataclass
class Results:
    """All that a run has measured."""

    measurements: list = field(default_factory=list)
    memory: list = field(default_factory=list)
    projects: list = field(default_factory=list)
    scale: list = field(default_factory=list)

    def ghcs(self):
        return ordered(r.ghc for r in [*self.measurements, *self.memory, *self.projects, *self.scale])

    def of(self, ghc):
        """What was measured with one GHC."""
        return Results(*([r for r in part if r.ghc == ghc]
                         for part in (self.measurements, self.memory, self.projects, self.scale)))

    def as_json(self):
        return {"measurements": [r.as_json() for r in self.measurements],
                "memory": [r.as_json() for r in self.memory],
                "projects": [r.as_json() for r in self.projects],
                "scale": [r.as_json() for r in self.scale]}


def case_rows(measurements):
    """The rows of one table: one way of one GHC."""
    found = {(m.module, m.contender): m for m in measurements}
    rows = []
    for m in measurements:
        if m.failure:
            rows.append([m.module, m.contender, "failed"] + ["–"] * (len(CASE_HEADINGS) - 3))
            continue
        peer = found.get((m.module, PEER))
        in_process = found.get((m.module, IN_PROCESS))
        sent = m.meter_median("bytes_to_interpreter")
        received = m.meter_median("bytes_from_interpreter")
        rows.append([m.module, m.contender,
                     number(m.wait, 1e3, 1), number(ratio(m.wait, peer and peer.wait), digits=3),
                     number(m.meter_median("turns")),
                     number(m.meter_median("median_turn_ns"), 1e-3),
                     "–" if sent is None else f"{number(sent)} / {number(received)}",
                     number(m.wall, 1e3), number(ratio(m.wall, peer and peer.wall), digits=2),
                     number(ratio(m.wall, in_process and in_process.wall), digits=2)])
    return rows


def turn_rows(measurements):
    """Medians over single turns."""
    return [[m.way, m.module, m.contender, number(m.turn_median(LOADS), 1e6),
             number(m.turn_median(SEARCHES), 1e6), number(m.turn_median(), 1e6),
             number(m.meter_median("pipe_ns"), 1e-3), number(m.meter_median("pipe_one_cpu_ns"), 1e-3)]
            for m in measurements if m.metered and m.contender in (PEER, OURS_WARM)]


def breakdown_rows(measurements):
    """Where our remaining wait goes, by the kind of message, most first."""
    rows = []
    for m in measurements:
        if m.contender != OURS_WARM or m.module != BREAKDOWN_MODULE or not m.metered:
            continue
        run = m.typical_run()
        for kind, times in sorted(run["turns_ns"].items(), key=lambda item: -sum(item[1])):
            rows.append([m.way, kind, str(len(times)), number(sum(times), 1e-6, 2),
                         number(ratio(sum(times), run["wait_ns"]), digits=2),
                         number(statistics.median(times), 1e-3)])
    return rows


def memory_rows(results):
    return [[r.way, r.contender, number(r.totals[0], 1e-6, 1) if r.totals else "–",
             number(r.first, 1e-6, 1),
             "failed" if r.failure else ", ".join(number(size, 1e-6, 1) for size in r.further)]
            for r in results]


def project_rows(results):
    rows = []
    for r in results:
        peer = peer_of(results, r)
        rows.append([r.way, PROJECT_NAMES.get(r.contender, r.contender),
                     "failed" if r.failure else number(r.wall, digits=1),
                     number(ratio(r.wall, peer and peer.wall), digits=2),
                     number(r.cpu, digits=1)])
    return rows


def scale_rows(results):
    found = {(r.way, r.packages, r.contender): r for r in results}
    rows = []
    for r in results:
        peer = found.get((r.way, r.packages, PEER))
        rows.append([r.way, r.contender, str(r.packages), str(r.libraries), number(r.size, 1e-6),
                     "failed" if r.failure else number(r.wait, 1e3),
                     number(ratio(r.wait, peer and peer.wait), digits=3),
                     number(r.wait_per_byte, 1e9, 2), number(r.peak, 1e-6), number(r.total, 1e-6),
                     number(r.session, 1e-6)])
    return rows


def sections(results, table, heading):
    """The tables, each under a heading, made by the given functions."""
    parts = []

    def add(title, headings, rows, words=2):
        if rows:
            parts.extend([heading(title), table(headings, rows, words)])

    for ghc in results.ghcs():
        of_ghc = results.of(ghc)
        for way in ordered(m.way for m in of_ghc.measurements):
            add(f"GHC {ghc}, {way}", CASE_HEADINGS,
                case_rows([m for m in of_ghc.measurements if m.way == way]))
        add(f"GHC {ghc}, single turns", TURN_HEADINGS, turn_rows(of_ghc.measurements), words=3)
        add(f"GHC {ghc}, where the warm wait for {BREAKDOWN_MODULE} goes", BREAKDOWN_HEADINGS,
            breakdown_rows(of_ghc.measurements))
        add(f"GHC {ghc}, memory of sessions at the same time", MEMORY_HEADINGS,
            memory_rows(of_ghc.memory))
        add(f"GHC {ghc}, code of many packages in one session", SCALE_HEADINGS, scale_rows(of_ghc.scale))
        for shape in of_ghc.projects[:1]:
            add(f"GHC {ghc}, a project of {shape.modules} modules, one ghc -c each, {shape.jobs} at a "
                "time", PROJECT_HEADINGS, project_rows(of_ghc.projects))
    return parts


def failure_lines(results):
    def lines(part, subject):
        return [f"{r.contender}, GHC {r.ghc} {r.way} {subject(r)}: {r.failure}"
                for r in part if r.failure]

    return (lines(results.measurements, lambda r: r.module) + lines(results.memory, lambda r: "memory")
            + lines(results.projects, lambda r: "project")
            + lines(results.scale, lambda r: f"{r.packages} packages"))


def as_text(results):
    """What a person reads on a terminal."""
    parts = sections(results, text_table, lambda text: text)
    failures = failure_lines(results)
    if failures:
        parts.append("failures:\n" + "\n".join("  " + line for line in failures))
    return "\n\n".join(parts)


def verdict_lines(verdicts):
    """The bars with what was measured, for --check."""
    lines = []
    for verdict in verdicts:
        word = "met   " if verdict.met else "MISSED"
        lines.append(f"{word} {verdict.what}: {number(verdict.measured, digits=3)} {verdict.unit}, "
                     f"at most {verdict.limit:g}")
    return "\n".join(lines)


def verdict_rows(verdicts):
    return [[v.what, "met" if v.met else "**missed**", f"{number(v.measured, digits=3)} {v.unit}",
             f"{v.limit:g}"]
            for v in verdicts]


EXPLANATION = f"""**Wait** is the interpreter wait: the time in one `ghc -c` during which it is the \
interpreter's turn, from the last byte of each request on GHC's pipe to the first byte of the answer, \
summed. The first request counts from when it was sent, so a slow start-up counts. A **turn** is one \
request with its answer. A meter between GHC and the interpreter finds these; it adds two process \
switches to each turn, for every contender alike. **`ghc -c`** is the wall time of the whole compile \
without the meter.

**ghc-iserv** is GHC's own external interpreter. **{OURS_COLD}** is ours with nothing shared between \
compiles (`ISERV_SHARE=off`), **{OURS_WARM}** with sharing, from the third compile on. **{OURS_REMOTE}** is that with \
the interpreters behind `--via tcp:127.0.0.1:…`. **in-process** \
is GHC running the splices itself. It takes the packages' dynamic objects for that; for the profiling \
way, modules that are imported must be compiled twice, which these single modules do not show.

**Single turns**: medians over all turns of all runs. *load* is a turn that ends in a load operation \
(`loadDll`, `resolveObjs`; GHC does not wait for the others), *search* is `addLibrarySearchPath` or \
`findSystemLibrary`, *any* is all turns; *pipe* is one byte to another process and back, measured \
after each run, and *on one CPU* the same with both processes kept on one. A turn that ends in `runTh` \
or `thAnswer` lasts until a splice's next question or its end.

**Memory** is the proportional set size of all processes that are there because of the interpreter \
(front ends, broker, zygotes, sessions). Each session is in the middle of a splice over lens.

**Many packages**: one splice evaluates a function, applied where its type allows it, or a constant of \
each of so many packages; the interpreter loads these and what they need, so many libraries of so many \
megabytes besides those that every interpreter consists of. Each number of packages has those of the smaller ones. *peak* is the resident size of the largest \
process, *all processes* their proportional set size while the splice still runs, and *the session* what \
this grew by when the session was started.

**The project** is compiled by ours from nothing: the first compile starts the broker. CPU time is \
that of all processes, the broker and its zygotes included."""


def as_markdown(results, verdicts, machine, rounds, before=""):
    """The whole of docs/measurements.md.

    What the document has of other GHCs, and of other parts of what can be measured, stays: GHCs live on
    several systems, and not everything is measured at a time.
    """
    system = dict(machine)["system"]
    origin = (f"{system.split(',')[0]}, {datetime.date.today().isoformat()}, "
              f"medians of {rounds} runs, page cache warm.")
    headings = sections(results, markdown_table, lambda text: f"## {text}\n\n{origin}")
    written = {title_of(heading): f"{heading}\n\n{table}"
               for heading, table in zip(headings[::2], headings[1::2])}
    kept = sections_of(before)
    failures = [f"- {line}" for line in failure_lines(results)]
    merged = {**kept, **written}
    bars = {(row[0], row[-1]): row for row in [*rows_of(kept.get(BARS_TITLE, "")), *verdict_rows(verdicts)]}
    parts = [
        "# Measurements",
        "Written by `tests/bench/bench.py --write`; not edited by hand. Absolute times are those "
        "of the machine below and drift with its load; contenders are run in turn, and the ratios "
        "are what to look at.",
        markdown_table(["machine", ""], [[what, value] for what, value in machine if what != "system"]),
        "## What is measured",
        EXPLANATION,
        "\n".join(f"- `{module}`: {meaning}" for module, meaning in MODULE_MEANINGS.items()),
        *(merged[title] for title in sorted(merged, key=section_order) if title != BARS_TITLE),
    ]
    if failures:
        parts += ["## Failures", "\n".join(failures)]
    if bars:
        parts += [f"## {BARS_TITLE}", markdown_table(["bar", "", "measured", "at most"],
                                                     list(bars.values()))]
    return "\n\n".join(parts) + "\n"


BARS_TITLE = "Bars"


def title_of(heading):
    return heading.splitlines()[0].removeprefix("## ")


def sections_of(document):
    """{title: text} of the sections of a document that hold what was measured."""
    found = {title_of(part): "## " + part.strip() for part in document.split("\n## ")[1:]}
    return {title: text for title, text in found.items()
            if title.startswith("GHC ") or title == BARS_TITLE}


def rows_of(table):
    """The cells of a table, without its heading."""
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def section_order(title):
    """GHCs by their version; the sections of each stay in the order in which they are."""
    version = title.removeprefix("GHC ").partition(",")[0]
    return [int(number) for number in version.split(".") if number.isdigit()]
