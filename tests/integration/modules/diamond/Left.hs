{-# LANGUAGE TemplateHaskell #-}
-- | One side of the diamond: a table computed from the module below.
module Left where

import Bottom
import Language.Haskell.TH

tableLeft :: [(Int, String)]
tableLeft = $(tableOf "Left" [1 .. 40])

record "Left"
