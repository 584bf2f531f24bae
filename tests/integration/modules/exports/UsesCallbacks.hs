{-# LANGUAGE TemplateHaskell #-}
-- | Splices that go from Haskell to C and back.
module UsesCallbacks where

import Callbacks
import Foreign (nullPtr, peek)
import Language.Haskell.TH

thrice :: Int
thrice = $(litE (integerL (fromIntegral (tripleFromC 14))))

greeted :: Int
greeted = $(runIO (callGreet greetAddress 33) >>= litE . integerL . fromIntegral)

sorted :: [Int]
sorted = $(runIO (sortInC [5, 3, 9, -1, 3]) >>= listE . map (litE . integerL . fromIntegral))

sine :: Double
sine = $(litE (rationalL (toRational (c_sin 0.5))))

hasEnvironment :: Bool
hasEnvironment = $(do
  environment <- runIO (peek c_environ)
  if environment == nullPtr then [|False|] else [|True|])
