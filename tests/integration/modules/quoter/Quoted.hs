{-# LANGUAGE QuasiQuotes #-}
-- | Quasi-quotes of a quoter that is a module of the same program.
module Quoted where

import Quoter

[numbers|1 20 300|]

list :: [Integer]
list = [numbers|3 1 4 1 5
                9 2 6|]

isStart :: [Integer] -> Bool
isStart [numbers|3 1 4|] = True
isStart _ = False

nested :: [numbers|1 2|]
nested = (1, (2, ()))
