module Data.Version (whose) where

whose :: String
whose = "the unit's own Data.Version"
