{-# LANGUAGE StaticPointers #-}
module Statics where

import GHC.StaticPtr

greeting :: StaticPtr (String -> String)
greeting = static ("hello, " ++)

size :: StaticPtr Int
size = static 17
