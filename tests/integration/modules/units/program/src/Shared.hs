module Shared (name) where

name :: String
name = "program"
