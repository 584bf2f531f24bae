{-# LANGUAGE TemplateHaskell #-}
-- | The top of the diamond; running it shows that the pieces fit.
module Main (main) where

import Language.Haskell.TH
import Left
import Right

main :: IO ()
main = do
  print (RecordLeft 1 2 3, RecordRight 4 5 6)
  putStrLn $(stringE (concatMap snd (zipWith const tableLeft tableRight)))
