-- What Encode.hs has of this GHC, and not of all.
module Differences where

import Data.Binary.Put (Put)
import qualified Data.ByteString.Lazy as Lazy
import GHC.Stack.CCS (CostCentreStack)
import GHCi.Message
import GHCi.RemoteTypes

import Values

createBcos :: [Lazy.ByteString] -> Put
createBcos = putMessage . CreateBCOs

breakpointRequests :: [Put]
breakpointRequests =
  [ putMessage (EnableBreakpoint (ref 13) 2 True)
  , putMessage (EnableBreakpoint (ref 13) (-1) False)
  ]

breakpointReply :: Put
breakpointReply = answer (EnableBreakpoint (ref 13) 2) ()

loadDllReplies :: [Put]
loadDllReplies =
  [ answer LoadDLL (Just "libx.so: cannot open \xdcff \x4e2d")
  , answer LoadDLL Nothing
  ]

atBreakpoint, atException :: RemotePtr CostCentreStack -> EvalStatus_ a b
atBreakpoint = EvalBreak False (ref 9) 10 (-11) (ref 12)
atException = EvalBreak True (ref 9) 0 0 (ref 12)

furtherRequests, furtherReplies :: [Put]
furtherRequests = []
furtherReplies = []

furtherQuestions :: [(String, Put)]
furtherQuestions = []
