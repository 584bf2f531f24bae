{-# LANGUAGE TemplateHaskell #-}
-- | What the splices of the other modules run.
module Bottom where

import Language.Haskell.TH

tableOf :: String -> [Int] -> Q Exp
tableOf side = listE . map (\n -> [|(n, $(stringE (side ++ show (n * n))))|])

-- | A record type with three fields, named after its module.
record :: String -> Q [Dec]
record side = do
  let name = mkName ("Record" ++ side)
      field i = (mkName ("field" ++ side ++ show i), Bang NoSourceUnpackedness SourceStrict, ConT ''Int)
  pure [DataD [] name [] Nothing [RecC name (map field [1 .. 3 :: Int])] [DerivClause Nothing [ConT ''Show]]]
