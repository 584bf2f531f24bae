{-# LANGUAGE TemplateHaskell #-}
-- | Lenses, prisms and a class of lenses made by the lens package.
module Lenses where

import Control.Lens

data Address = Address
  { _street :: String
  , _number :: !Int
  , _city :: Maybe String
  }
  deriving (Show, Eq)

data Person a = Person
  { _name :: String
  , _homes :: [Address]
  , _extra :: a
  }
  deriving (Show)

data Shape
  = Circle Double
  | Rectangle Double Double
  | Empty
  deriving (Show)

makeLenses ''Address
makeLenses ''Person
makePrisms ''Shape

newtype Config = Config {_configDepth :: Int}

makeClassy ''Config

streets :: Person a -> [String]
streets = toListOf (homes . traverse . street)
