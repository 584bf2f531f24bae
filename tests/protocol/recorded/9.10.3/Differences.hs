-- What Encode.hs has of this GHC, and not of all.
module Differences where

import Data.Binary (put)
import Data.Binary.Put (Put, putWord8)
import qualified Data.ByteString.Lazy as Lazy
import GHC.Stack.CCS (CostCentreStack)
import GHCi.Message
import GHCi.RemoteTypes
import qualified Language.Haskell.TH as TH
import qualified Language.Haskell.TH.Syntax as TH

import Values

-- The message's type holds what the strings encode; there is nothing that would encode to these.
createBcos :: [Lazy.ByteString] -> Put
createBcos strings = putWord8 12 >> put strings

breakpointRequests :: [Put]
breakpointRequests =
  [ putMessage (SetupBreakpoint (ref 13) 2 5)
  , putMessage (SetupBreakpoint (ref 13) (-1) (-1))
  ]

breakpointReply :: Put
breakpointReply = answer (SetupBreakpoint (ref 13) 2) ()

loadDllReplies :: [Put]
loadDllReplies =
  [ answer LoadDLL (Left "libx.so: cannot open \xdcff \x4e2d")
  , answer LoadDLL (Right (pointer 0x1122334455667788))
  ]

atBreakpoint, atException :: RemotePtr CostCentreStack -> EvalStatus_ a b
atBreakpoint = EvalBreak (ref 9) (Just (EvalBreakpoint "M" 10 "N.\x3bb" 3)) (ref 12)
atException = EvalBreak (ref 9) Nothing (ref 12)

furtherRequests :: [Put]
furtherRequests =
  [ putMessage (NewBreakModule "M.\x3bb")
  , putMessage (LookupSymbolInDLL (pointer 26) "x_closure")
  ]

furtherReplies :: [Put]
furtherReplies =
  [ answer NewBreakModule (pointer 27)
  , answer (LookupSymbolInDLL (pointer 26)) (Just (pointer 28))
  , answer (LookupSymbolInDLL (pointer 26)) Nothing
  ]

furtherQuestions :: [(String, Put)]
furtherQuestions =
  [ ("PutDoc", putTHMessage (PutDoc TH.ModuleDoc "text"))
  , ("GetDoc", putTHMessage (GetDoc (TH.DeclDoc (TH.mkName "n"))))
  , ("GetPackageRoot", putTHMessage GetPackageRoot)
  ]
