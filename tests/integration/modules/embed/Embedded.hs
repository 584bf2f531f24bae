{-# LANGUAGE TemplateHaskell #-}
-- | Files that become part of the program: found from the working directory, any bytes.
module Embedded where

import Data.ByteString (ByteString)
import Data.FileEmbed

poem :: ByteString
poem = $(embedFile "data/poem.txt")

everyByte :: ByteString
everyByte = $(embedFile "data/every-byte.bin")

folder :: [(FilePath, ByteString)]
folder = $(embedDir "data")
