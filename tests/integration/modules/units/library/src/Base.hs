{-# LANGUAGE TemplateHaskell #-}
module Base (constant, double, own) where

import Data.Version (whose)
import Language.Haskell.TH

-- | A splice that uses a module which hides a package's.
own :: String
own = $(litE (stringL whose))

double :: Int -> Int
double x = x * 2

-- | For splices of the other unit.
constant :: String -> Integer -> Q [Dec]
constant name value = return [ValD (VarP (mkName name)) (NormalB (LitE (IntegerL value))) []]
