{-# LANGUAGE TemplateHaskell #-}
-- | One side of the diamond: a table computed from the module below.
module Right where

import Bottom
import Language.Haskell.TH

tableRight :: [(Int, String)]
tableRight = $(tableOf "Right" [1 .. 40])

record "Right"
