{-# LANGUAGE TemplateHaskell #-}
-- | A quasi-quoter for lists of numbers, usable in all four places.
module Quoter (numbers) where

import Language.Haskell.TH
import Language.Haskell.TH.Quote

numbers :: QuasiQuoter
numbers = QuasiQuoter
  { quoteExp = listE . map (litE . integerL) . parse
  , quotePat = listP . map (litP . integerL) . parse
  , quoteType = \text -> foldr (\_ rest -> [t|(Int, $rest)|]) [t|()|] (parse text)
  , quoteDec = \text -> concat <$> mapM constant (parse text)
  }

parse :: String -> [Integer]
parse = map read . words

-- | @n1 = 1@ for the number 1, and so on.
constant :: Integer -> Q [Dec]
constant n = do
  let name = mkName ('n' : show n)
  sequence [sigD name [t|Integer|], valD (varP name) (normalB (litE (integerL n))) []]
