{-# LANGUAGE TemplateHaskell #-}
module Splice where
import Language.Haskell.TH
answer :: Int
answer = $(litE (integerL (product [1 .. 5])))
tup :: (Int, Int, Int)
tup = $(tupE [ [| $(litE (integerL i)) |] | i <- [1 .. 3] ])
fibs :: [Integer]
fibs = $(let fib :: [Integer]; fib = 0 : 1 : zipWith (+) fib (tail fib) in listE (map (litE . integerL) (take 20 fib)))
name :: String
name = $(do { l <- location; stringE (loc_module l) })
