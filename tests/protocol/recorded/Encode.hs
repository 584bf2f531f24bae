-- Writes the messages of tests/protocol/request_cases.cc and reply_cases.cc, in the same order, as
-- GHC's own library encodes them: to requests.bin, replies.bin and questions.bin. tests/record compiles and
-- runs it. What not every GHC has, or not in the same way, is in the Differences module of each.
module Main (main) where

import Data.Binary (put)
import Data.Binary.Put (Put, runPut)
import qualified Data.ByteString as Strict
import qualified Data.ByteString.Char8 as Char8
import qualified Data.ByteString.Lazy as Lazy
import GHC.Fingerprint (Fingerprint (..))
import GHC.ForeignSrcLang (ForeignSrcLang (..))
import GHC.LanguageExtensions (Extension (..))
import GHCi.FFI (FFIConv (..), FFIType (..))
import GHCi.Message
import qualified Language.Haskell.TH as TH
import qualified Language.Haskell.TH.Syntax as TH
import System.Exit (ExitCode (..))
import Type.Reflection (someTypeRep)
import Data.Proxy (Proxy (..))

import Differences
import Values

bytes :: [Int] -> Strict.ByteString
bytes = Strict.pack . map fromIntegral

requests :: [Put]
requests =
  [ putMessage Shutdown
  , putMessage InitLinker
  , putMessage (LookupSymbol "base_GHCziBase_zzip_closure")
  , putMessage (LookupClosure "main_x\x3bb_closure")
  , putMessage (LoadDLL "libm.so.6")
  , putMessage (LoadArchive "/lib/caf\xe9/\x4e2d/\x1d11e.a")
  , putMessage (LoadObj "/t/caf\xdce9.o")
  , putMessage (UnloadObj "")
  , putMessage (AddLibrarySearchPath "/a\0b")
  , putMessage (RemoveLibrarySearchPath (pointer 0x0123456789abcdef))
  , putMessage ResolveObjs
  , putMessage (FindSystemLibrary "m")
  , createBcos [Lazy.fromStrict (bytes [0, 1, 255]), Lazy.empty, lazyPieces]
  , putMessage (CreateBCOs [])
  , putMessage (FreeHValueRefs [ref 1, ref 0xfffffffffffffffe])
  , putMessage (FreeHValueRefs [])
  , putMessage (MallocData (bytes [0, 128, 255]))
  , putMessage (MallocData Strict.empty)
  , putMessage (MallocStrings [Char8.pack "abc", Strict.empty, bytes [0xc3]])
  , putMessage (MallocStrings [])
  , putMessage (PrepFFI FFICCall allTypes FFIVoid)
  , putMessage (PrepFFI FFIStdCall [] FFIUInt64)
  , putMessage (FreeFFI (pointer 4096))
  , putMessage (MkConInfoTable True 2 1 3 4 (Char8.pack "main:M.T"))
  , putMessage (MkConInfoTable False (-1) 0 0 7 Strict.empty)
  , putMessage (EvalStmt (EvalOpts True False True False) (EvalThis (ref 9)))
  , putMessage
      (EvalStmt
         (EvalOpts False True False True)
         (EvalApp (EvalThis (ref 1)) (EvalApp (EvalThis (ref 2)) (EvalThis (ref 3)))))
  , putMessage (ResumeStmt (EvalOpts True True True True) (ref 5))
  , putMessage (AbandonStmt (ref 6))
  , putMessage (EvalString (ref 7))
  , putMessage (EvalStringToString (ref 8) "x \x1f600")
  , putMessage (EvalIO (ref 10))
  , putMessage (MkCostCentres "M" [("f", "M.hs:1:1"), ("g.\x3bb", "")])
  , putMessage (MkCostCentres "" [])
  , putMessage (CostCentreStackInfo (pointer 11))
  , putMessage (NewBreakArray 12)
  ]
  ++ breakpointRequests ++
  [ putMessage (BreakpointStatus (ref 14) 3)
  , putMessage (GetBreakpointVar (ref 15) 4)
  , putMessage StartTH
  , putMessage (RunModFinalizers (ref 16) [ref 17, ref 18])
  , putMessage (RunModFinalizers (ref 16) [])
  , putMessage (AddSptEntry (Fingerprint 0xfedcba9876543210 1) (ref 19))
  , putMessage
      (RunTH (ref 20) (ref 21) THExp (Just (TH.Loc "M.hs" "main" "M" (3, 4) (5, 6))))
  , putMessage (RunTH (ref 20) (ref 22) THPat Nothing)
  , putMessage (RunTH (ref 20) (ref 22) THType Nothing)
  , putMessage (RunTH (ref 20) (ref 22) THDec Nothing)
  , putMessage (RunTH (ref 20) (ref 22) THAnnWrapper Nothing)
  , putMessage (GetClosure (ref 23))
  , putMessage (Seq (ref 24))
  , putMessage RtsRevertCAFs
  , putMessage (ResumeSeq (ref 25))
  ]
  ++ furtherRequests
 where
  -- However a lazy string is cut, its length and its bytes are what counts.
  lazyPieces = Lazy.fromChunks [bytes [1], bytes [2, 3]]
  allTypes =
    [ FFIVoid, FFIPointer, FFIFloat, FFIDouble, FFISInt8, FFISInt16, FFISInt32, FFISInt64, FFIUInt8
    , FFIUInt16, FFIUInt32, FFIUInt64 ]

-- The answer to a splice is announced by a message of its own.
done :: Put -> Put
done result = putTHMessage RunTHDone >> result

replies :: [Put]
replies =
  [ answer0 Shutdown ()
  , answer0 InitLinker ()
  , answer LookupSymbol (Just (pointer 0x400000))
  , answer LookupSymbol Nothing
  , answer LookupClosure (Just (ref 2))
  , answer LookupClosure Nothing
  ]
  ++ loadDllReplies ++
  [ answer LoadArchive ()
  , answer LoadObj ()
  , answer UnloadObj ()
  , answer AddLibrarySearchPath (pointer 0)
  , answer RemoveLibrarySearchPath True
  , answer0 ResolveObjs False
  , answer FindSystemLibrary (Just "/usr/lib/libm.so")
  , answer FindSystemLibrary Nothing
  , answer CreateBCOs [ref 1, ref 0xffffffffffffffff]
  , answer CreateBCOs []
  , answer FreeHValueRefs ()
  , answer MallocData (pointer 0x7f0000000000)
  , answer MallocStrings [pointer 3, pointer 4]
  , answer (\_ -> PrepFFI FFICCall [] FFIVoid) (pointer 5)
  , answer FreeFFI ()
  , answer (\_ -> MkConInfoTable True 0 0 0 1 Strict.empty) (pointer 6)
  , answer (EvalStmt options) (EvalComplete 1000 (EvalSuccess [ref 7, ref 8]))
  , answer (EvalStmt options) (EvalComplete 0 (EvalSuccess []))
  , answer (EvalStmt options) (EvalComplete 1 (EvalException EUserInterrupt))
  , answer (EvalStmt options) (EvalComplete 1 (EvalException (EExitCode ExitSuccess)))
  , answer (EvalStmt options) (EvalComplete 1 (EvalException (EExitCode (ExitFailure 3))))
  , answer (EvalStmt options) (EvalComplete 1 (EvalException (EExitCode (ExitFailure (-1)))))
  , answer (EvalStmt options) (EvalComplete 1 (EvalException (EOtherException "bad \x3bb")))
  , answer (ResumeStmt options) (atBreakpoint (pointer 13))
  , answer (ResumeStmt options) (atException (pointer 0))
  , answer AbandonStmt ()
  , answer EvalString (EvalSuccess "a\0\x1f600")
  , answer EvalString (EvalException (EOtherException ""))
  , answer (EvalStringToString (ref 8)) (EvalSuccess "")
  , answer EvalIO (EvalSuccess ())
  , answer EvalIO (EvalException EUserInterrupt)
  , answer (MkCostCentres "M") [pointer 14]
  , answer CostCentreStackInfo ["M.f (M.hs:1:1)", "", "M.\x3bb"]
  , answer CostCentreStackInfo []
  , answer NewBreakArray (ref 15)
  , breakpointReply
  , answer (BreakpointStatus (ref 13)) True
  , answer (GetBreakpointVar (ref 15)) (Just (ref 16))
  , answer (GetBreakpointVar (ref 15)) Nothing
  , answer0 StartTH (ref 17)
  , done (answer (RunModFinalizers (ref 16)) (QDone ()))
  , done (answer (RunModFinalizers (ref 16)) (QException "late"))
  , answer (AddSptEntry (Fingerprint 1 2)) ()
  , done (answer (RunTH (ref 1) (ref 2) THExp) (QDone (bytes [1, 0, 255])))
  , done (answer (RunTH (ref 1) (ref 2) THExp) (QDone Strict.empty))
  , done (answer (RunTH (ref 1) (ref 2) THExp) (QException "x\x3bb"))
  , done (answer (RunTH (ref 1) (ref 2) THExp) (QFail ""))
  , answer Seq (EvalComplete 2 (EvalSuccess ()))
  , answer Seq (atException (pointer 0))
  , answer0 RtsRevertCAFs ()
  , answer ResumeSeq (EvalComplete 2 (EvalException (EOtherException "x")))
  ]
  ++ furtherReplies
 where
  options = EvalOpts True True True True

-- One of each question that a splice can have, named; the length of each precedes it.
questions :: [(String, Put)]
questions =
  [ ("NewName", putTHMessage (NewName "x"))
  , ("Report", putTHMessage (Report True "bad"))
  , ("LookupName", putTHMessage (LookupName False "f"))
  , ("Reify", putTHMessage (Reify name))
  , ("ReifyFixity", putTHMessage (ReifyFixity name))
  , ("ReifyType", putTHMessage (ReifyType name))
  , ("ReifyInstances", putTHMessage (ReifyInstances name []))
  , ("ReifyRoles", putTHMessage (ReifyRoles name))
  , ("ReifyAnnotations",
      putTHMessage (ReifyAnnotations (TH.AnnLookupName name) (someTypeRep (Proxy :: Proxy Int))))
  , ("ReifyModule", putTHMessage (ReifyModule (TH.Module (TH.mkPkgName "p") (TH.mkModName "M"))))
  , ("ReifyConStrictness", putTHMessage (ReifyConStrictness name))
  , ("AddDependentFile", putTHMessage (AddDependentFile "f"))
  , ("AddTempFile", putTHMessage (AddTempFile "c"))
  , ("AddModFinalizer", putTHMessage (AddModFinalizer (ref 0x1122334455667788)))
  , ("AddCorePlugin", putTHMessage (AddCorePlugin "P"))
  , ("AddTopDecls", putTHMessage (AddTopDecls []))
  , ("AddForeignFilePath", putTHMessage (AddForeignFilePath LangC "f.c"))
  , ("IsExtEnabled", putTHMessage (IsExtEnabled Cpp))
  , ("ExtsEnabled", putTHMessage ExtsEnabled)
  , ("StartRecover", putTHMessage StartRecover)
  , ("EndRecover", putTHMessage (EndRecover True))
  , ("FailIfErrs", putTHMessage FailIfErrs)
  , ("RunTHDone", putTHMessage RunTHDone)
  ]
  ++ furtherQuestions
 where
  name = TH.mkName "n"

main :: IO ()
main = do
  Lazy.writeFile "requests.bin" (foldMap runPut requests)
  Lazy.writeFile "replies.bin" (foldMap runPut replies)
  Lazy.writeFile "questions.bin" (foldMap question questions)
 where
  question (name, encoded) = runPut (put name >> put (runPut encoded))
