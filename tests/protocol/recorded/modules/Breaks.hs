module Breaks where

import Control.Exception

data Tree = Leaf | Node Tree Int Tree

insert :: Int -> Tree -> Tree
insert n Leaf = Node Leaf n Leaf
insert n (Node l m r)
  | n < m = Node (insert n l) m r
  | otherwise = Node l m (insert n r)

total :: Tree -> Int
total Leaf = 0
total (Node l n r) = total l + n + total r

faulty :: Int -> Int
faulty n = 10 `div` (n - n)

patient :: IO ()
patient = print (faulty 3) `catch` \e -> putStrLn ("caught " ++ show (e :: ArithException))
