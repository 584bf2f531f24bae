-- What Encode.hs has of this GHC, and not of all.
module Differences where

import Data.Binary.Put (Put)
import qualified Data.ByteString.Lazy as Lazy
import GHC.Stack.CCS (CostCentreStack)
import GHCi.Message
import GHCi.RemoteTypes
import qualified Language.Haskell.TH as TH
import qualified Language.Haskell.TH.Syntax as TH

import Values

createBcos :: [Lazy.ByteString] -> Put
createBcos = putMessage . CreateBCOs

breakpointRequests :: [Put]
breakpointRequests =
  [ putMessage (SetupBreakpoint (ref 13) 2 5)
  , putMessage (SetupBreakpoint (ref 13) (-1) (-1))
  ]

breakpointReply :: Put
breakpointReply = answer (SetupBreakpoint (ref 13) 2) ()

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
furtherQuestions =
  [ ("PutDoc", putTHMessage (PutDoc TH.ModuleDoc "text"))
  , ("GetDoc", putTHMessage (GetDoc (TH.DeclDoc (TH.mkName "n"))))
  , ("GetPackageRoot", putTHMessage GetPackageRoot)
  ]
