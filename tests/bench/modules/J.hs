{-# LANGUAGE TemplateHaskell #-}

-- | @deriveJSON@: instances for a few types of a typical web service.
module J where

import Data.Aeson.TH (defaultOptions, deriveJSON)

data Colour = Red | Green | Blue

data Point = Point {px :: Double, py :: Double}

data Shape
  = Circle {centre :: Point, radius :: Double}
  | Polygon {corners :: [Point], fill :: Maybe Colour}

deriveJSON defaultOptions ''Colour
deriveJSON defaultOptions ''Point
deriveJSON defaultOptions ''Shape
