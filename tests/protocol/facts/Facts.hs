{-# LANGUAGE TemplateHaskell #-}

-- | Prints what this GHC's ghci library says on the wire, as its own types and its own encoding have it. A line each:
--
-- > message TAG CONSTRUCTOR (FIELD,...) ANSWER
-- > question TAG CONSTRUCTOR (FIELD,...)
-- > sample message TAG HEXADECIMAL
-- > sample answer TAG HEXADECIMAL
--
-- A sample is what the library reads and writes again, so the shapes of fields are not only what a type looks like.
module Main (main) where

import Control.Monad (forM_, when)
import Data.Binary (Binary, decode, get, put)
import Data.Binary.Get (Get, runGetOrFail)
import Data.Binary.Put (Put, runPut)
import qualified Data.ByteString.Lazy as Bytes
import Data.List (sortOn)
import Data.Proxy (Proxy (..))
import Data.Word (Word8)
import GHCi.Message
import Language.Haskell.TH
import Numeric (showHex)
import System.Exit (die)

import Describe

-- | What is printed of a message.
data Fact = Fact Word8 String [String]

main :: IO ()
main = do
  messages <- sequence
    $( do
         constructors <- constructorsOf ''Message
         listE
           [ do
               shapes <- mapM shapeOf fields
               shape <- shapeOf answer
               [|message $(stringE (nameBase name)) (Tuple shapes) shape
                 (Msg $(foldl (\function _ -> [|$function zero|]) (conE name) fields))
                 (Proxy :: Proxy $(pure answer))|]
           | Constructor name fields answer <- constructors
           ]
     )
  questions <- sequence
    $( do
         constructors <- constructorsOf ''THMessage
         listE
           [ do
               [|question $(stringE (nameBase name)) $(stringE (unwords (map pprint fields)))
                 (THMsg $(foldl (\function _ -> [|$function zero|]) (conE name) fields))|]
           | Constructor name fields _ <- constructors
           ]
     )
  forM_ [messages, questions] $ \facts ->
    forM_ (sortOn (\(Fact tag _ _) -> tag) facts) $ \(Fact _ line others) -> mapM_ putStrLn (line : others)

-- Every type of a field has a value whose encoding has nothing but zeros.
zero :: Binary a => a
zero = decode (Bytes.replicate 4096 0)

message :: Binary answer => String -> Shape -> Shape -> Msg -> Proxy answer -> IO Fact
message name fields answer example answerType = do
  let tag = Bytes.head (encoded example)
      encoded (Msg each) = runPut (putMessage each)
  asked <- checked name getMessage (encoded) (map (Bytes.cons tag) (known fields))
  answered <- checked name get (putAs answerType) (known answer)
  pure (Fact tag (unwords ["message", show tag, name, text fields, text answer])
         (map (sample "message" tag) asked ++ map (sample "answer" tag) answered))
  where
    known = maybe [] id . samples
    putAs :: Binary a => Proxy a -> a -> Bytes.ByteString
    putAs _ = runPut . put

question :: String -> String -> THMsg -> IO Fact
question name fields (THMsg example) = do
  let tag = Bytes.head (runPut (putTHMessage example))
  pure (Fact tag (unwords ["question", show tag, name, fields]) [])

-- | Those bytes, if the library understands them as we do.
checked :: String -> Get a -> (a -> Bytes.ByteString) -> [Bytes.ByteString] -> IO [Bytes.ByteString]
checked name reader writer = mapM $ \bytes -> do
  let wrong why = die ("Facts: " ++ name ++ ": the ghci library " ++ why ++ ": " ++ hexadecimal bytes)
  case runGetOrFail reader bytes of
    Left (_, _, why) -> wrong ("does not read what it should (" ++ why ++ ")")
    Right (rest, _, value) -> do
      when (not (Bytes.null rest)) (wrong "does not read all of what it should")
      when (writer value /= bytes) (wrong ("writes " ++ hexadecimal (writer value) ++ " for"))
  pure bytes

sample :: String -> Word8 -> Bytes.ByteString -> String
sample what tag bytes = unwords ["sample", what, show tag, hexadecimal bytes]

hexadecimal :: Bytes.ByteString -> String
hexadecimal = concatMap (\byte -> drop 1 (showHex (256 + fromIntegral byte :: Int) "")) . Bytes.unpack
