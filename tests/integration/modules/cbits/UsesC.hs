{-# LANGUAGE TemplateHaskell #-}
-- | Splices that run the C code of another home module.
module UsesC where

import Checksum
import Data.Word
import Foreign.C (peekCString)
import Language.Haskell.TH

sums :: [Integer]
sums = $(do
  values <- runIO (mapM checksum ["", "a", "Wikipedia"])
  listE (map (litE . integerL . fromIntegral) values))

asked :: Integer
asked = $(runIO checksumCalls >>= litE . integerL . fromIntegral)

name :: String
name = $(runIO (peekCString checksumName) >>= stringE)

folded :: Double
folded = $(do
  value <- runIO (foldDoubles (\a b -> a * 2 + b) 1 [0.5, 0.25, 4])
  litE (rationalL (toRational value)))
