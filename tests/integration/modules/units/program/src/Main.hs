{-# LANGUAGE TemplateHaskell #-}
module Main (main) where

import Base (constant, double, own)
import Data.Version (makeVersion, showVersion)
import Data.FileEmbed (embedStringFile)
import Language.Haskell.TH.Syntax (addDependentFile, lift, makeRelativeToProject, runIO)
import Shared (name)

constant "answer" 42

main :: IO ()
main = do
  print ($(lift (double 21)) :: Int, answer, own)
  putStrLn $(lift (name ++ " " ++ showVersion (makeVersion [1, 2])))
  putStr $(makeRelativeToProject "data.txt" >>= \file -> addDependentFile file >> runIO (readFile file) >>= lift)
  putStr $(makeRelativeToProject "data.txt" >>= embedStringFile)
