{-# LANGUAGE DeriveDataTypeable #-}
-- | What the annotations of the next module are made of.
module Note where

import Data.Data

data Priority = Low | High Int
  deriving (Show, Eq, Data)

data Note = Note {text :: String, priority :: Priority, tags :: [(Char, Maybe Double)]}
  deriving (Show, Eq, Data)
