{-# LANGUAGE TemplateHaskell #-}
-- | Annotations of a module, a type and values, of standard and of home types.
module Annotated where

import Language.Haskell.TH
import Note

{-# ANN module (Note "whole module" Low []) #-}
{-# ANN module "a string" #-}

{-# ANN type Box (Just (3 :: Int)) #-}
data Box = Box Int

{-# ANN unbox (Note {text = "ünbox", priority = High 7, tags = [('x', Just 1.5), ('y', Nothing)]}) #-}
{-# ANN unbox (['a' .. 'e'], 2 ^ (70 :: Int) :: Integer) #-}
unbox :: Box -> Int
unbox (Box n) = n
