{-# LANGUAGE TemplateHaskell #-}

-- | @makeLenses@ as in L, and a splice that goes on until the file @release@ has been read to its end.
module H where

import Control.Lens (makeLenses, makePrisms)
import Language.Haskell.TH (runIO)

data Address = Address {_street :: String, _number :: Int, _town :: String}

data Person = Person {_name :: String, _age :: Int, _home :: Address}

data Contact = Mail String | Phone Int Int

makeLenses ''Address
makeLenses ''Person
makePrisms ''Contact

$(do
    released <- runIO (writeFile "holding" "" >> readFile "release")
    length released `seq` pure [])
