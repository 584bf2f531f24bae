{-# LANGUAGE MagicHash #-}
-- Alternatives by floating point numbers, which GHC refuses since 9.4.
module FloatPatterns where

import GHC.Exts

choose :: Double# -> Float# -> Int
choose d f = case d of { 1.5## -> 1; 3.5## -> 7; _ -> case f of { 0.5# -> 1; 4.5# -> 9; _ -> 2 }}
