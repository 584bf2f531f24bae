module Stacks where

import GHC.Stack

outer :: Int -> IO [String]
outer n = middle (n + 1)

middle :: Int -> IO [String]
middle n = if n > 100 then pure [] else inner n

inner :: Int -> IO [String]
inner n = n `seq` currentCallStack

broken :: Int -> Int
broken n = helper n * 2

helper :: Int -> Int
helper n = if n > 0 then errorWithStackTrace "with a stack" else n

data Box = Box Int

made :: Int -> Box
made n = Box (n * 3)
