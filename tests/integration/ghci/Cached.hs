module Cached where

import Debug.Trace

expensive :: Int
expensive = trace "evaluated" (length [1 .. 1000])
