{-# LANGUAGE CPP #-}
-- | What a process can find out about itself and its surroundings.
module Facts (reportFacts, waitForFile) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Data.Char
import Data.List
import GHC.IO.Encoding
import System.Directory
import System.Environment
import System.Exit
import System.IO
import System.Posix.Process
import System.Posix.Resource
import System.Posix.Signals
import System.Process
import Subject (bump)

-- | Writes all facts to a file, one a line, and a word with special letters to both outputs.
reportFacts :: FilePath -> IO ()
reportFacts file = do
  facts <- sequence
    [ fact "calls of bump" bump
    , fact "current directory" getCurrentDirectory
    , fact "arguments" getArgs
    , fact "program name" getProgName
    , fact "environment" (sort <$> getEnvironment)
    , fact "threads" (pure rtsSupportsBoundThreads)
    , fact "capabilities" getNumCapabilities
    , fact "encodings" ((,,) <$> getLocaleEncoding <*> getFileSystemEncoding <*> getForeignEncoding)
    , fact "is terminal" (mapM hIsTerminalDevice [stdin, stdout, stderr])
    , fact "encoding" (mapM hGetEncoding [stdin, stdout, stderr])
    , fact "buffering" (mapM hGetBuffering [stdin, stdout, stderr])
    , fact "open" (mapM hIsOpen [stdin, stdout, stderr])
    , fact "streams" (mapM (textOf . getSymbolicLinkTarget . ("/proc/self/fd/" ++)) ["0", "1", "2"])
    , fact "input" getContents
    , fact "status" (filter wanted . lines <$> readFile "/proc/self/status")
    , fact "limits" (lines <$> readFile "/proc/self/limits")
    , fact "open files" (limit <$> getResourceLimit ResourceOpenFiles)
    , fact "niceness" (getProcessPriority 0)
    , fact "handlers" (mapM handler [sigHUP, sigUSR1, sigUSR2, sigPIPE, sigTERM])
    , fact "fits in 600 MB" (all fits . lines <$> readFile "/proc/self/status")
    , fact "a child's status"
        (sort . filter wanted . lines <$> readProcess "cat" ["/proc/self/status"] "")
    , fact "a child's open files" (lines <$> readProcess "sh" ["-c", openFiles] "")
    , fact "a child's exit" (system "exit 3")
    , fact "a timer" (threadDelay 1000)
    , fact "speaking" (putStrLn "größe" >> hFlush stdout)
    , fact "complaining" (hPutStrLn stderr "länge")
    ]
  withFile file WriteMode $ \handle -> hSetEncoding handle utf8 >> mapM_ (hPutStrLn handle) facts
  where
    wanted line = any (`isPrefixOf` line) statusLines
    limit limits = (shown (softLimit limits), shown (hardLimit limits))
    shown (ResourceLimit n) = show n
    shown _ = "none"

-- | Names the shell's open files.
openFiles :: String
#if MIN_VERSION_base(4,20,0)
-- The RTS of GHC 9.10 leaves the pipes of its timer (rts/posix/ticker/TimerFd.c) to the programs that are started,
-- as many as there were RTSs before, GHC's among them.
openFiles = "cd /proc/$$/fd; for n in *; do test -e $n && { test $n -gt 2 -a -p $n || echo $n; }; done; true"
#else
openFiles = "ls /proc/$$/fd"
#endif

-- | Lines of /proc/self/status that say what a process has from its parent.
statusLines :: [String]
statusLines =
  [ "Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp:"
  , "Cpus_allowed_list" ]

-- | Whether the line of /proc/self/status is not that of an excessive memory.
fits :: String -> Bool
fits line = case words line of
  ["VmRSS:", kilobytes, "kB"] -> (read kilobytes :: Int) < 600000
  _ -> True

-- | What a signal does, and leaves it as it was.
handler :: Signal -> IO String
handler signal = do
  old <- installHandler signal Default Nothing
  _ <- installHandler signal old Nothing
  pure $ case old of
    Default -> "default"
    Ignore -> "ignored"
    _ -> "handled"

fact :: Show a => String -> IO a -> IO String
fact name action = do
  text <- textOf action
  pure (name ++ ": " ++ text)

textOf :: Show a => IO a -> IO String
textOf action = either (\e -> "failed: " ++ show (e :: SomeException)) id <$> try complete
  where complete = action >>= \value -> let text = show value in text <$ evaluate (length text)

-- | Says by a file that it is here, and goes on when there is another file.
waitForFile :: FilePath -> FilePath -> IO ()
waitForFile here goOn = writeFile here "" >> loop
  where loop = doesFileExist goOn >>= \there -> unless there (threadDelay 5000 >> loop)
