{-# LANGUAGE TemplateHaskell #-}
-- | Splices that act on the module and on each other instead of only yielding code.
module Effects where

import Control.Concurrent
import Control.Exception
import Data.IORef
import Language.Haskell.TH
import Language.Haskell.TH.Syntax
import System.Mem (performGC)
import System.Timeout (timeout)

-- | State handed from one splice of the module to the next.
$(putQ (41 :: Int) >> putQ "handed on" >> pure [])

handedOn :: (Int, String)
handedOn = $(do
  number <- getQ :: Q (Maybe Int)
  text <- getQ :: Q (Maybe String)
  missing <- getQ :: Q (Maybe Bool)
  case (number, text, missing) of
    (Just n, Just s, Nothing) -> [|(n + 1, s)|]
    _ -> fail "the state of the earlier splice is lost")

-- | A top-level function added from within an expression.
viaTopDecl :: Int
viaTopDecl = $(do
  name <- newName "hidden"
  body <- [|\x -> x * 2 :: Int|]
  signature <- [t|Int -> Int|]
  addTopDecls [SigD name signature, FunD name [Clause [] (NormalB body) []]]
  [|$(varE name) 21|])

-- | Failures that are caught, with the messages they reported thrown away.
recovered :: [String]
recovered = $(listE
  [ recover (stringE "failed") (fail "never seen")
  , recover (stringE "unknown name") (reify (mkName "noSuchThing") >>= stringE . show)
  , recover (stringE "unused") (stringE "worked")
  , recover (stringE "reported") (reportError "never seen either" >> stringE "went on")
  ])

-- | A finalizer that looks at what the whole module became and adds to it.
finalized :: Int
finalized = $(do
  addModFinalizer $ do
    VarI name _ _ <- reify 'recovered
    counter <- runIO (newIORef (length (nameBase name)))
    n <- runIO (readIORef counter)
    added <- [d|lengthOfName :: Int; lengthOfName = n|]
    addTopDecls added
  [|7|])

-- | C code that becomes part of this module's object.
$(do
  addForeignSource LangC "int splicehost_added(int x) { return x + 1000; }\n"
  declaration <- forImpD cCall unsafe "splicehost_added" (mkName "addedInC") [t|Int -> Int|]
  pure [declaration])

-- | A file whose change makes GHC compile this module again.
dependent :: String
dependent = $(addDependentFile "Effects.hs" >> runIO (readFile "Effects.hs") >>= stringE . take 30)

-- | Names that nobody can capture.
fresh :: Int -> Int
fresh = $(do
  x <- newName "x"
  y <- newName "x"
  lamE [varP x] (lamE [varP y] [|$(varE x) - $(varE y)|] `appE` [|5|]))

-- | Threads, timers, exceptions and collections while a splice runs.
concurrent :: (Int, Maybe Int, String)
concurrent = $(do
  result <- runIO $ do
    boxes <- mapM (\n -> newEmptyMVar >>= \box -> box <$ forkIO (putMVar box (n * n))) [1 .. 100]
    total <- sum <$> mapM takeMVar boxes
    answer <- newEmptyMVar
    _ <- forkIOWithUnmask (\unmask ->
      unmask (timeout 20000 (threadDelay 60000000 >> pure 1)) >>= putMVar answer)
    late <- takeMVar answer
    performGC
    caught <- try (evaluate (1 `div` (0 :: Int)))
    pure (total :: Int, late :: Maybe Int, either (\e -> show (e :: ArithException)) show caught)
  lift result)
