-- | Something to stop in, step through and look at.
module Debugged where

import Data.IORef
import Data.List (insertBy)

data Item = Item {label :: String, weight :: !Int, parts :: [Item]}
  deriving (Show)

newtype Tagged a = Tagged (Maybe a)

total :: Item -> Int
total item = weight item + sum (map total (parts item))

heavy :: Item
heavy = Item "box" 3 [Item "ball" 1 [], Item "bag" 2 [Item "sand" 5 []]]

sortItems :: Ord b => (a -> b) -> [a] -> [a]
sortItems key = foldr place []
  where
    place x sorted =
      let earlier a b = compare (key a) (key b)
       in insertBy earlier x sorted

countdown :: IORef Int -> Int -> IO ()
countdown counter n
  | n <= 0 = do
      writeIORef counter (-1)
  | otherwise = do
      modifyIORef counter (+ n)
      countdown counter (n - 1)

pick :: Int -> [a] -> a
pick n items = items !! n

failing :: Int -> Int
failing n
  | n > 2 = error ("failing " ++ show n)
  | otherwise = failing (n + 1) * 2
