module Main (main, other) where

import System.Environment

main :: IO ()
main = getArgs >>= putStrLn . ("arguments: " ++) . show

other :: IO ()
other = getArgs >>= putStrLn . ("other: " ++) . show
