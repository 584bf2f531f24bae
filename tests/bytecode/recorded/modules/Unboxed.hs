{-# LANGUAGE GHCForeignImportPrim, MagicHash, UnboxedTuples, UnliftedFFITypes #-}
-- What byte code can do since GHC 9.2: unboxed tuples, and calls of functions written in Cmm.
module Unboxed where

import GHC.Exts

foreign import prim "stg_cloneMyStackzh" cloneMyStack# :: State# RealWorld -> (# State# RealWorld, StackSnapshot# #)

data Snapshot = Snapshot StackSnapshot#

snapshot :: State# RealWorld -> (# State# RealWorld, Snapshot #)
snapshot s = case cloneMyStack# s of (# t, stack #) -> (# t, Snapshot stack #)

pair :: Int -> (# Int, Double# #)
pair n = (# n + 1, 2.5## #)

-- More than what fits into registers.
many :: Int -> (# Int, Int#, Double#, Float#, Int, Int, Int, Int, Int, Word# #)
many n = (# n, 1#, 2.0##, 3.0#, n, n, n, n, n, 4## #)

total :: Int -> Int
total n = case pair n of
  (# a, _ #) -> case many a of
    (# b, c, _, _, d, e, f, g, h, _ #) -> b + I# c + d + e + f + g + h
