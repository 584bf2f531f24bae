"""What a splice sees of its process, attribute by attribute: with GHC's own interpreter, with ours alone, and shared.

  SPLICEHOST_ISERV=... tests/integration/test_fidelity.py --write     writes docs/fidelity.md

The client has unusual values of nearly everything, so that a value of somebody else's shows. The test fails if the shared
interpreter differs from the two others, and if the document is not what came out.
"""

import pathlib
import re
import sys
import unittest

from support import GHC, OURS, WAYS, expand, external, for_each, ghc_version, peer
from test_sharing import SharingTest

OF_DOCUMENT = (9, 0, 2)
DOCUMENT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "fidelity.md"

# How a client gets unusual values, and the arguments after it run.
CLIENT = r"""
umask 027
ulimit -S -n 777; ulimit -c 0; ulimit -s 16000; ulimit -S -u 5000; ulimit -S -l 60
trap '' USR1
export UNUSUAL='a value' LC_ALL=C.UTF-8
exec 5<input 9>>output
cd below
exec env --block-signal=USR2 setpriv $([ "$(id -u)" = 0 ] && echo --bounding-set -chown,-kill --inh-caps -all) --no-new-privs choom -n 321 -- \
  chrt --batch 0 ionice -c 2 -n 6 nice -n 4 taskset -c 1 setarch -R "$@" < ../input
"""

# One attribute: its group, its name, and a shell command that prints it. The splice runs the shell, which inherits.
ATTRIBUTES = (
    [("identity", name, f"grep ^{key}: /proc/self/status") for name, key in (
        ("user ids", "Uid"), ("group ids", "Gid"), ("supplementary groups", "Groups"))]
    + [("identity", name, f"cat /proc/self/{file}") for name, file in (
        ("audit user", "loginuid"), ("security label", "attr/current"))]
    + [("identity", f"namespace: {name}", f"readlink /proc/self/ns/{name}") for name in (
        "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")]
    + [("confinement", name, f"grep ^{key}: /proc/self/status") for name, key in (
        ("inheritable capabilities", "CapInh"), ("permitted capabilities", "CapPrm"),
        ("effective capabilities", "CapEff"), ("bounding set", "CapBnd"), ("ambient capabilities", "CapAmb"),
        ("no_new_privs", "NoNewPrivs"), ("seccomp mode", "Seccomp"), ("seccomp filters", "Seccomp_filters"))]
    + [("confinement", "cgroups", "cat /proc/self/cgroup"), ("confinement", "root directory", "readlink /proc/self/root"),
       ("confinement", "session keyring", "grep -c . /proc/keys")]
    + [("limits", name.lower(), f"grep '^{name} ' /proc/self/limits") for name in (
        "Max cpu time", "Max file size", "Max data size", "Max stack size", "Max core file size", "Max resident set",
        "Max processes", "Max open files", "Max locked memory", "Max address space", "Max file locks",
        "Max pending signals", "Max msgqueue size", "Max nice priority", "Max realtime priority",
        "Max realtime timeout")]
    + [("scheduling", "niceness", "nice"), ("scheduling", "policy and priority", "chrt -p $$ | sed s/$$/PID/"),
       ("scheduling", "I/O class and priority", "ionice -p $$"),
       ("scheduling", "processors", "grep ^Cpus_allowed_list: /proc/self/status"),
       ("scheduling", "memory nodes", "grep ^Mems_allowed_list: /proc/self/status"),
       ("scheduling", "timer slack", "cat /proc/self/timerslack_ns"),
       ("memory", "OOM score", "cat /proc/self/oom_score_adj"), ("memory", "core dump filter", "cat /proc/self/coredump_filter"),
       ("memory", "personality", "cat /proc/self/personality"),
       ("memory", "transparent huge pages", "grep ^THP_enabled: /proc/self/status")]
    + [("files", "working directory", "pwd"), ("files", "mask of file modes", "umask"),
       ("files", "standard input", "head -n 1"), ("files", "descriptor 5, read", "head -n 1 <&5"),
       ("files", "descriptor 9, written", "echo x >&9; wc -l < ../output"),
       ("files", "what descriptors 5 and 9 are", "readlink /proc/$$/fd/5 /proc/$$/fd/9"),
       ("terminal", "controlling terminal", "(: > /dev/tty) 2>/dev/null && echo yes || echo none"),
       ("terminal", "output is a terminal", "[ -t 1 ] && echo yes || echo no"),
       ("signals", "ignored", "grep ^SigIgn: /proc/self/status"), ("signals", "blocked", "grep ^SigBlk: /proc/self/status"),
       ("environment", "variables", "env | grep -v -e ^_= -e ^SHLVL= -e ^OLDPWD= -e ^ISERV_SHARE= | sort"),
       ("environment", "locale", "locale charmap"), ("environment", "host name", "uname -n"),
       ("time", "time zone", "date +%Z"), ("time", "clock offsets", "cat /proc/self/timens_offsets")]
)

SUBJECT = """
{-# LANGUAGE TemplateHaskell #-}
module Subject where
import Language.Haskell.TH
import System.Process
$(runIO (readCreateProcess (proc "sh" ["FACTS"]) { std_in = Inherit } "" >>= writeFile "FOUND") >> pure [])
"""


class Fidelity(SharingTest):

    def prepare(self):
        facts = "".join(f"echo '== {number}'; ( {command} ) 2>&1; echo\n" for number, (_, _, command) in enumerate(ATTRIBUTES))
        self.workspace.write("facts.sh", facts)
        self.workspace.write("input", "".join(f"line {n}\n" for n in range(9)))
        self.workspace.write("below/x", "")
        directory = self.workspace.cwd
        self.workspace.write("Subject.hs", SUBJECT.replace("FACTS", f"{directory}/facts.sh").replace("FOUND", f"{directory}/found"))

    def facts(self, way, iserv, share):
        """{number of an attribute: what a splice saw}"""
        (self.workspace.cwd / "output").write_text("")
        self.workspace.env["ISERV_SHARE"] = share
        command = (GHC, *external(iserv), "-v0", "-c", "-fforce-recomp", *way.flags, "../Subject.hs")
        done = self.workspace.run("bash", "-c", CLIENT, "bash", *command)
        self.assertEqual((done.status, done.stderr), (0, ""), done)
        parts = re.split(r"^== (\d+)\n", (self.workspace.cwd / "found").read_text(), flags=re.MULTILINE)
        return dict(zip(map(int, parts[1::2]), parts[2::2], strict=True))

    def rows(self, way):
        """For each attribute: group, name, and whether a splice sees the client's with the peer, alone, and shared."""
        self.prepare()
        client = self.workspace.run("bash", "-c", CLIENT, "bash", "sh", str(self.workspace.cwd / "facts.sh"))
        parts = re.split(r"^== (\d+)\n", client.stdout, flags=re.MULTILINE)
        expected = dict(zip(map(int, parts[1::2]), parts[2::2], strict=True))
        seen = [self.facts(way, peer(), "off"), self.facts(way, OURS, "off")]
        self.facts(way, OURS, "on")
        seen.append(self.facts(way, OURS, "on"))
        return [(group, name, [facts[number] == expected[number] for facts in seen], [facts[number] for facts in seen])
                for number, (group, name, _) in enumerate(ATTRIBUTES)]


@expand
class Shared(Fidelity):

    @for_each(way=WAYS)
    def test(self, way):
        for group, name, _, (with_peer, alone, shared) in self.rows(way):
            with self.subTest(f"{group}: {name}"):
                self.assertEqual(shared, alone)
                self.assertEqual(shared, with_peer)

    @for_each(way=WAYS[:1])
    def test_document(self, way):
        """docs/fidelity.md says what is seen today, with the GHC that it is of: others treat some signals otherwise."""
        if ghc_version() != OF_DOCUMENT:
            self.skipTest("the document is of another GHC")
        self.assertEqual(DOCUMENT.read_text(), document(self.rows(way)))


def document(rows):
    lines = ["# Fidelity", "",
             "Written by `tests/integration/test_fidelity.py --write`; not edited by hand.", "",
             "What a splice sees of its process, where its compiler has unusual values of nearly everything: *yes* if it is"
             " what its compiler has. With GHC 9.0.2, vanilla; the shared interpreter is a warm one.", "",
             "| | attribute | ghc-iserv | alone | shared |", "| --- | --- | --- | --- | --- |"]
    before = None
    for group, name, same, _ in rows:
        marks = " | ".join("yes" if each else "no" for each in same)
        lines.append(f"| {group if group != before else ''} | {name} | {marks} |")
        before = group
    return "\n".join(lines) + "\n"


def write():
    """Writes the document; whether that worked."""
    class Writer(Fidelity):
        def runTest(self):
            DOCUMENT.write_text(document(self.rows(WAYS[0])))
    return unittest.TextTestRunner().run(Writer()).wasSuccessful()


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        sys.exit(not write())
    unittest.main()
