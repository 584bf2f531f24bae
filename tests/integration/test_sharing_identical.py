"""Sharing makes no difference in what is compiled, to the byte, however often it has been compiled."""

import dataclasses
import unittest

from projects import PROJECTS
from support import GHC, OURS, WAYS, expand, external, for_each, peer
from test_sharing import SharingTest

CHOSEN = ("lens", "aeson", "effects", "annotations", "exports", "diamond")
"""Names of projects: large libraries, splices that act, annotations, exported functions."""

MAKES = ("cbits", "diamond")
"""Those that are also compiled by one GHC as a whole, as cabal does it."""


@dataclasses.dataclass(frozen=True)
class Products:
    """What a compilation left: the bytes of each new file, and all that GHC said."""

    files: dict
    said: str


def projects(names):
    return [project for project in PROJECTS if project.name in names]


@expand
class Identical(SharingTest):
    """GHC's interpreter, ours alone, and ours shared: the first, the second and the third time."""

    @for_each(project=projects(CHOSEN))
    @for_each(way=WAYS)
    def test_one_shot(self, project, way):
        """One GHC after another: of a project's modules each one attaches."""
        self.check(project, way, [("-c", source) for source in project.sources])

    @for_each(project=projects(MAKES))
    @for_each(way=WAYS)
    def test_make(self, project, way):
        self.check(project, way, [("--make", "-no-link", *project.sources)])

    def check(self, project, way, compiles):
        self.workspace.copy_modules(project.name)
        objects = []
        for source in project.c_sources:
            done = self.workspace.run(GHC, "-c", "-fPIC", source)
            self.assertEqual(done.status, 0, done)
            objects.append(source.replace(".c", ".o"))
        self.before = self.files()
        compiles = [(*way.flags, *words, *objects) for words in compiles]
        theirs = self.compile_all(peer(), compiles, "off")
        alone = self.compile_all(OURS, compiles, "off")
        self.assertEqual(self.differences(theirs, alone), [], "direct mode")
        for number in range(3):
            shared = self.compile_all(OURS, compiles, "on")
            self.assertEqual(shared.said, theirs.said)
            self.assertEqual(self.differences(theirs, shared), [], f"shared, compile {number}")
            status = self.wait_until_grown(0)
        self.assertEqual(len(self.brokers()), 1)
        self.assertGreater(status.hits, 0)

    def compile_all(self, iserv, compiles, share):
        """Compiles, and removes what was made."""
        self.workspace.env["ISERV_SHARE"] = share
        said = ""
        for words in compiles:
            done = self.workspace.run(GHC, *external(iserv), *words)
            self.assertEqual(done.status, 0, done)
            said += done.stdout + done.stderr
        new = {name: data for name, data in self.files().items() if name not in self.before}
        for name in new:
            (self.workspace.cwd / name).unlink()
        return Products(new, said)

    def files(self):
        root = self.workspace.cwd
        return {str(path.relative_to(root)): path.read_bytes()
                for path in root.rglob("*") if path.is_file()}

    @staticmethod
    def differences(theirs, ours):
        return [name for name in {*theirs.files, *ours.files}
                if theirs.files.get(name) != ours.files.get(name)]


if __name__ == "__main__":
    unittest.main()
