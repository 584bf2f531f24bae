{-# LANGUAGE TemplateHaskell #-}

-- | @makeLenses@: one package that brings 49 libraries with it.
module L where

import Control.Lens (makeLenses, makePrisms)

data Address = Address {_street :: String, _number :: Int, _town :: String}

data Person = Person {_name :: String, _age :: Int, _home :: Address}

data Contact = Mail String | Phone Int Int

makeLenses ''Address
makeLenses ''Person
makePrisms ''Contact
