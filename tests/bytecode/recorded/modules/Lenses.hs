{-# LANGUAGE TemplateHaskell #-}
module Lenses where
import Control.Lens
data P = P { _px :: Int, _py :: Int } deriving Show
data Shape = Circle { _centre :: P, _radius :: Double } | Poly { _points :: [P] }
makeLenses ''P
makeLenses ''Shape
makePrisms ''Shape
