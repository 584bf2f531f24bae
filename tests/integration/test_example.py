"""The example of an application that is the interpreter: Haskell code calls its function."""

import pathlib
import shutil
import unittest

from support import OURS, WAYS, IntegrationTest, expand, for_each

EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "examples" / "application"


def application():
    """The application as the build made it, for the GHC of the interpreter under test."""
    directory = pathlib.Path(OURS).parent
    path = directory.parent / "examples" / "application" / directory.name / "iserv"
    if not path.exists():
        raise RuntimeError(f"there is no {path}; build with -DSPLICEHOST_TESTS=ON")
    return path


@expand
class Application(IntegrationTest):
    def setUp(self):
        super().setUp()
        for source in EXAMPLE.glob("*.hs"):
            shutil.copy(source, self.workspace.cwd)

    @for_each(way=WAYS)
    def test_compiled_code_calls_it_from_a_splice(self, way):
        done = self.workspace.ghc(application(), "-v0", *way.flags, "--make", "Ask.hs")
        self.assertEqual(done.status, 0, done)
        asked = self.workspace.ghc(application(), "-v0", *way.flags, "-e", "answer", "Ask.hs")
        self.assertEqual((asked.status, asked.stdout), (0, "42\n"), asked)

    @for_each(way=WAYS)
    def test_interpreted_code_calls_it(self, way):
        done = self.workspace.ghc(application(), "--interactive", "-v0", "-ignore-dot-ghci", *way.flags,
                                  "Answer.hs", stdin='''\
ask 6
foreign import ccall "application_answer" direct :: Int -> IO Int
direct 7
''')
        self.assertEqual((done.status, done.stdout), (0, "42\n49\n"), done)

    @for_each(way=WAYS)
    def test_ours_does_not_have_it(self, way):
        """Else the tests above would prove nothing."""
        done = self.workspace.ghc(OURS, "-v0", *way.flags, "--make", "Ask.hs")
        self.assertNotEqual(done.status, 0, done)
        self.assertIn("application_answer", done.stderr, done)


if __name__ == "__main__":
    unittest.main()
