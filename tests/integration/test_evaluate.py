"""`ghc -e` evaluates with our interpreter as it does with GHC's own."""

import re
import unittest

from support import OURS, WAYS, IntegrationTest, expand, for_each, peer

PROGRAM = """
module Main where
import System.Environment
import System.Exit
main :: IO ()
main = do
  arguments <- getArgs
  text <- getContents
  putStr (concatMap (++ " ") arguments ++ reverse text)
  exitWith (ExitFailure 17)
"""


HUNG_UP = re.compile(r"^.*GHCi\.Message\.remoteCall.*\n(HasCallStack backtrace:\n(  .*\n)*\n*)?", re.MULTILINE)
"""What GHC's own interpreter says when GHC hangs up: with a backtrace, since 9.10."""


@expand
class Evaluate(IntegrationTest):
    """One expression on GHC's command line."""

    def evaluate(self, way, *arguments, stdin=""):
        """Evaluates with both interpreters; they must agree, and ours is returned.

        GHC hangs up without a word when an expression fails, of which its own interpreter
        complains on standard error; the rest must be the same.
        """
        ours = self.workspace.ghc(OURS, *way.flags, *arguments, stdin=stdin)
        theirs = self.workspace.ghc(peer(), *way.flags, *arguments, stdin=stdin)
        self.assertEqual((theirs.status, theirs.stdout, HUNG_UP.sub("", theirs.stderr)),
                         (ours.status, ours.stdout, ours.stderr))
        return ours

    @for_each(way=WAYS)
    def test_expression(self, way):
        """The value of an expression is printed."""
        done = self.evaluate(way, "-e", 'map (* 2) [1 .. 5]', "-e", 'putStrLn "größe"')
        self.assertEqual(done.stdout, "[2,4,6,8,10]\ngröße\n", done)
        self.assertEqual(done.status, 0, done)

    @for_each(way=WAYS)
    def test_program(self, way):
        """A program has its arguments and input, and its exit status is GHC's."""
        self.workspace.write("Program.hs", PROGRAM)
        done = self.evaluate(way, "Program.hs", "-e", ":main one two", stdin="abc")
        self.assertEqual(done.stdout, "one two cba", done)
        self.assertEqual(done.status, 17, done)

    @for_each(way=WAYS)
    def test_exception(self, way):
        """An exception is reported and makes GHC fail."""
        done = self.evaluate(way, "-e", 'error "no value" :: IO ()')
        self.assertIn("no value", done.stderr, done)
        self.assertEqual(done.status, 1, done)


if __name__ == "__main__":
    unittest.main()
