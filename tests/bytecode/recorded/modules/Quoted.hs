{-# LANGUAGE QuasiQuotes, TemplateHaskell #-}
module Quoted where
import QQ
import Language.Haskell.TH
import Language.Haskell.TH.Quote
text :: String
text = [str|some
 quoted text|]
$(do { d <- [d| f :: Int -> Int; f x = x * 2 |]; pure d })
