{-# LANGUAGE TemplateHaskell #-}
-- | JSON encodings, made by a splice.
module Messages where

import Data.Aeson.TH

data Greeting = Greeting { recipient :: String, text :: [String] }
data Reply = Thanks | Sorry { reason :: String }

deriveJSON defaultOptions ''Greeting
deriveJSON defaultOptions ''Reply
