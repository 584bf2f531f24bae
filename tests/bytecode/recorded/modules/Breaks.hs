module Breaks where
import Interp (classify)
data Tree a = Leaf | Node (Tree a) a (Tree a) deriving (Show, Eq)
insert :: Ord a => a -> Tree a -> Tree a
insert x Leaf = Node Leaf x Leaf
insert x t@(Node l y r) = case compare x y of
  LT -> Node (insert x l) y r
  GT -> Node l y (insert x r)
  EQ -> t
foo :: Int -> Int
foo x = let y = x + 1 in y * length (classify y)
run :: IO ()
run = do
  let t = foldr insert Leaf [3, 1, 4, 1, 5 :: Int]
  print (foo 3)
  mapM_ print [t, insert 9 t]
