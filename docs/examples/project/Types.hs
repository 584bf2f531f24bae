{-# LANGUAGE TemplateHaskell #-}
-- | Records with lenses, made by a splice.
module Types where

import Control.Lens

data Address = Address { _street :: String, _city :: String }
data Person = Person { _name :: String, _age :: Int, _address :: Address }

makeLenses ''Address
makeLenses ''Person
