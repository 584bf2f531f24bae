-- | Uses what the splices of the other modules have made.
module Main (main) where

import Control.Lens
import Data.Aeson (encode)
import qualified Data.ByteString.Lazy.Char8 as Lazy

import Messages
import Table
import Types

main :: IO ()
main = do
  let person = Person "Ada" 36 (Address "St James's Square" "London")
  putStrLn (person ^. name ++ " moves to " ++ (person & address . city .~ "Turin") ^. address . city)
  Lazy.putStrLn (encode (Greeting { recipient = person ^. name, text = ["hello", "world"] }))
  print (sum primes)
