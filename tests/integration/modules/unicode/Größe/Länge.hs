{-# LANGUAGE TemplateHaskell #-}
-- | Names outside ASCII: of the file, its folder, the module and everything in it.
module Größe.Länge where

import Language.Haskell.TH

data Maß = Fuß | Zoll {größe :: Int}
  deriving (Show)

benenne :: String -> Q [Dec]
benenne was = do
  let name = mkName ("länge" ++ was)
  sequence [sigD name [t|String|], valD (varP name) (normalB (stringE ("→ " ++ was ++ " 🐫 \1114111\0"))) []]
