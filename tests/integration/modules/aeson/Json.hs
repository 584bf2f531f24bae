{-# LANGUAGE TemplateHaskell #-}
-- | JSON instances derived by aeson.
module Json where

import Data.Aeson
import Data.Aeson.TH

data Colour = Red | Green | Blue
  deriving (Show, Eq)

data Tree a = Leaf | Node {left :: Tree a, value :: a, right :: Tree a}
  deriving (Show)

data Order = Order
  { orderNumber :: Int
  , orderColour :: Colour
  , orderNotes :: Maybe [String]
  }
  deriving (Show)

$(deriveJSON defaultOptions ''Colour)
$(deriveJSON defaultOptions {sumEncoding = ObjectWithSingleField} ''Tree)
$(deriveJSON defaultOptions {fieldLabelModifier = drop 5, omitNothingFields = True} ''Order)

encodedLeaf :: Value
encodedLeaf = toJSON (Node Leaf Red Leaf)
