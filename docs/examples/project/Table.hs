{-# LANGUAGE TemplateHaskell #-}
-- | A table that is computed while compiling.
module Table (primes) where

import Language.Haskell.TH.Syntax (lift)

primes :: [Int]
primes = $(lift [n | n <- [2 .. 100 :: Int], all (\d -> n `mod` d /= 0) [2 .. n - 1]])
