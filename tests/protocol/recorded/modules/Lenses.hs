{-# LANGUAGE TemplateHaskell #-}
module Lenses where

import Control.Lens

data Point = Point { _x :: Int, _y :: Int }

makeLenses ''Point
