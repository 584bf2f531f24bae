{-# LANGUAGE TemplateHaskell #-}
-- | Splices that need nothing but base and template-haskell.
module Plain where

import Data.Char (toUpper)
import Data.List (sortOn)
import Language.Haskell.TH

-- | Computed by the interpreter, lifted into the program.
primes :: [Int]
primes = $(listE [litE (integerL n) | n <- [2 .. 60], all ((/= 0) . mod n) [2 .. n - 1]])

shout :: String
shout = $(stringE (map toUpper "computed at compile time"))

-- | A typed splice.
answer :: Int
answer = $$([||product [1 .. 5] + length (sortOn negate [3, 1, 2 :: Int])||])

-- | Selectors of the first four fields of a tuple of four.
$(concat <$> mapM
    (\i -> do
      x <- newName "x"
      let name = mkName ("select" ++ show i)
          pats = [if j == i then varP x else wildP | j <- [1 .. 4 :: Int]]
      sequence [funD name [clause [tupP pats] (normalB (varE x)) []]])
    [1 .. 4 :: Int])

-- | A type and a pattern made by splices.
swap :: $([t|(Int, Bool) -> (Bool, Int)|])
swap $(tupP [varP (mkName "a"), varP (mkName "b")]) = (b, a)
