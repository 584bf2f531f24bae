{-# LANGUAGE MagicHash #-}
{-# LANGUAGE TemplateHaskell #-}
-- | Literals that are large, small or odd, in interpreted code and in what it yields.
module Literals where

import Data.Char (ord)
import GHC.Exts (Ptr (..))
import Language.Haskell.TH
import Language.Haskell.TH.Syntax

huge :: Integer
huge = $(litE (integerL (2 ^ (20000 :: Int) - 3 ^ (5000 :: Int) + 123456789012345678901234567890)))

negative :: [Integer]
negative = $(lift [-1, fromIntegral (minBound :: Int), -(2 ^ (63 :: Int)) - 1, -98765432109876543210987654321 :: Integer])

longText :: String
longText = $(stringE (concat (replicate 4000 "A string of some length, \200\8364\128512.\n")))

odd' :: String
odd' = $(stringE "\0\1\DEL\255\55295\57344\1114111\"\\")

characters :: Int
characters = $(lift (sum (map ord "\0\1114111abc\8364")))

fractions :: [Rational]
fractions = $(listE (map (litE . rationalL) [1.5e300, -2.2250738585072014e-308, 1 / 3, 4.9e-324]))

floats :: ([Double], [Float])
floats = $(lift ([0.1, -0, 1 / 3, 1.7976931348623157e308 :: Double], [0.1, 3.4028235e38 :: Float]))

-- | 70,000 bytes as one primitive string.
primitive :: Ptr ()
primitive = Ptr $(litE (stringPrimL (take 70000 (cycle [0 .. 255]))))

wide :: Int
wide = $(lift (sum (zipWith (*) [1 .. 300] (cycle [1, -1])) + (maxBound :: Int) `mod` 7))

manyCases :: Int -> String
manyCases = $(do
  n <- newName "n"
  lamE [varP n] (caseE (varE n)
    ([match (litP (integerL i)) (normalB (stringE ("case " ++ show i))) [] | i <- [0 .. 400]]
      ++ [match wildP (normalB (stringE "other")) []])))
