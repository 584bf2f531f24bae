{-# LANGUAGE CPP, GADTs, LambdaCase, MagicHash, RankNTypes, ScopedTypeVariables, UnliftedFFITypes #-}
-- |
-- What an interpreter needs of Haskell: evaluation under GHCi's sandbox, Template Haskell's monad,
-- exceptions as text, and closure inspection. Everything else is C++.
--
-- One thread asks the C++ side for messages in GHC's own encoding ('splicehost_next') and gives back
-- answers in GHC's own encoding, so this module does not know what the messages hold, and the tables of
-- GHC versions stay in one place (protocol/ghc_versions.h). What differs here are the types of
-- template-haskell.
module Splicehost.Shim () where

import Control.Concurrent
import Control.Exception
import Control.Monad
import Control.Monad.IO.Class
import Data.Binary (Binary, get, put)
import Data.Binary.Get (Decoder (..), Get, runGet, runGetIncremental)
import Data.Binary.Put (Put, runPut)
import qualified Data.ByteString as B
import qualified Data.ByteString.Internal as BI
import qualified Data.ByteString.Lazy as LB
import qualified Data.ByteString.Unsafe as B
import Data.Data (Data)
import Data.Dynamic
import Data.Foldable (toList)
import Data.IORef
import qualified Data.Map as M
import Data.Maybe (fromMaybe)
import Data.Typeable (TypeRep, typeOf, typeRep)
import Data.Proxy (Proxy (..))
import Foreign
import Foreign.C
import GHC.Desugar (AnnotationWrapper (..))
import GHC.Exts (Weak#)
import GHC.IO (unsafeUnmask)
import GHC.Serialized (deserializeWithData, serializeWithData, toSerialized)
import GHC.TopHandler (flushStdHandles)
import GHC.Weak (Weak (..), deRefWeak)
import GHCi.Message
import GHCi.RemoteTypes
import GHCi.Run (run)
import qualified Language.Haskell.TH as TH
import qualified Language.Haskell.TH.Syntax as TH
import System.IO
import System.IO.Unsafe (unsafePerformIO)
import System.Posix.Signals
import Unsafe.Coerce (unsafeCoerce)

-- Calls from and to C++ (iserv/interpreter/evaluator.h) --------------------------------------------------------

foreign export ccall splicehost_evaluate_all :: IO ()
foreign export ccall splicehost_forked :: IO (StablePtr (IO ()))

foreign import ccall safe splicehost_next :: Ptr CSize -> IO (Ptr Word8)
foreign import ccall safe splicehost_evaluated :: Int32 -> Ptr Word8 -> CSize -> IO ()
foreign import ccall unsafe splicehost_warms_up :: IO Int32
foreign import ccall safe splicehost_prepare_forked :: IO ()
foreign import ccall safe splicehost_end_forked :: IO ()

-- | Carries out messages until there are no more.
splicehost_evaluate_all :: IO ()
splicehost_evaluate_all = mask_ $ do
  me@(Weak weak) <- myThreadId >>= mkWeakThreadId
  setTopHandlerThread weak
  next >>= mapM_ (\first -> prepare >> go me first >> flushStdHandles)
  where
    go me message = do
      (good, result) <- asEvaluator me (carryOutEncoded message)
      B.unsafeUseAsCStringLen result $ \(bytes, size) ->
        splicehost_evaluated good (castPtr bytes) (fromIntegral size)
      next >>= mapM_ (go me)

-- | What a forked process does: there, it is another thread than before.
splicehost_forked :: IO (StablePtr (IO ()))
splicehost_forked = newStablePtr $ do
  warm <- splicehost_warms_up
  when (warm /= 0) warmUp
  splicehost_prepare_forked
  splicehost_evaluate_all
  splicehost_end_forked

-- | Runs what every session runs, so that it is in the processor's and the process's memory: signal
-- handlers, and the encoding of Template Haskell's syntax. The process is for one session only, which
-- could do the same.
warmUp :: IO ()
warmUp = do
  catchSignals
  (_, reference) <- carryOutEncoded (LB.toStrict (runPut (putMessage StartTH)))
  (_, _) <- carryOutEncoded (LB.toStrict (runPut (putMessage (FreeHValueRefs [runGet get (LB.fromStrict reference)]))))
  exercise (TH.TyConI sample)
  exercise function
  where
    exercise :: Binary a => a -> IO ()
    exercise value = do
      let values = replicate 20 value
          decoded = runGet get (runPut (put values)) `asTypeOf` values
      _ <- evaluate (LB.length (runPut (put decoded)))
      return ()
    function = TH.InstanceD Nothing [] (TH.AppT (TH.ConT a) (TH.ConT a))
      [ TH.SigD a (TH.AppT (TH.AppT TH.ArrowT (TH.ConT a)) TH.ListT)
      , TH.PragmaD (TH.InlineP a TH.Inline TH.FunLike TH.AllPhases)
      , TH.FunD a [TH.Clause [TH.VarP a, TH.WildP, TH.LitP (TH.IntegerL 1), TH.TupP [TH.AsP a TH.WildP]]
          (TH.NormalB (TH.LamE [TH.VarP a] (TH.InfixE (Just (TH.VarE a)) (TH.ConE a) (Just code))))
          [TH.ValD (TH.VarP a) (TH.GuardedB [(TH.NormalG code, code)]) []]] ]
    code = TH.CaseE (TH.AppE (TH.VarE a) (TH.LitE (TH.StringL "sample")))
      [TH.Match TH.WildP (TH.NormalB (TH.ListE [TH.SigE (TH.VarE a) (TH.ConT a), TH.TupE [Just (TH.VarE a)]])) []]
    sample = TH.DataD [] a [TH.KindedTV a required TH.StarT] Nothing
      [ TH.RecC a [(a, TH.Bang TH.NoSourceUnpackedness TH.SourceStrict, TH.AppT (TH.ConT a) (TH.VarT a))]
      , TH.NormalC a [] ]
      [TH.DerivClause Nothing [TH.ConT a]]
#if MIN_VERSION_template_haskell(2,21,0)
    required = TH.BndrReq
#else
    required = ()
#endif
    a = TH.mkName "Sample.a"

next :: IO (Maybe B.ByteString)
next = alloca $ \sizePtr -> do
  bytes <- splicehost_next sizePtr
  if bytes == nullPtr
    then return Nothing
    else Just <$> (peek sizePtr >>= \size -> B.packCStringLen (castPtr bytes, fromIntegral size))

-- | Before the first evaluation: ^C interrupts what is running, as in GHC, and standard output keeps its
-- order with standard error also when it is not a terminal.
prepare :: IO ()
prepare = do
  catchSignals
  hSetBuffering stdout LineBuffering `catch` \(_ :: IOException) -> return ()

catchSignals :: IO ()
catchSignals = mapM_ (\signal -> installHandler signal (Catch interrupt) Nothing) [sigINT, sigQUIT]

-- Messages ----------------------------------------------------------------------------------------

-- | Carries out an encoded message. The status is 1 with an encoded answer, and 0 with the text (UTF-8) of
-- an exception that escaped.
carryOutEncoded :: B.ByteString -> IO (Int32, B.ByteString)
carryOutEncoded message = try (carryOut (runGet getMessage (LB.fromStrict message))) >>= \case
  Right answer -> return (1, answer)
  Left e -> (,) 0 . LB.toStrict . LB.drop 8 . runPut . put <$> exceptionText e

-- | Runs in 'uninterruptibleMask', as "GHCi.Run" expects.
carryOut :: Msg -> IO B.ByteString
carryOut (Msg message) = case message of
  RunTH state splice kind at -> spliceResult (runSplice state splice kind at)
  RunModFinalizers state finalizers -> spliceResult (runFinalizers state finalizers)
  StartTH -> newIORef (SpliceState M.empty Nothing) >>= mkRemoteRef >>= encoded
  GetClosure _ -> do
    closure <- run message
    mapM_ (noteReference . referenceWord) (toList closure)
    encoded closure
  -- GHCi.Run lets ^C reach a statement only through its sandbox thread.
  EvalStmt options _
    | useSandboxThread options -> evaluation (EvalComplete 0) (run message)
    | otherwise -> evaluation (EvalComplete 0) (unsafeUnmask (run message))
  ResumeStmt _ _ -> evaluation (EvalComplete 0) (run message)
  Seq _ -> evaluation (EvalComplete 0) (run message)
  ResumeSeq _ -> evaluation (EvalComplete 0) (run message)
  EvalString _ -> evaluation id (unsafeUnmask (run message))
  EvalStringToString _ _ -> evaluation id (unsafeUnmask (run message))
  EvalIO _ -> evaluation id (unsafeUnmask (run message))
  _ -> run message >>= encoded

-- | A reference as the number that stands for it on the wire ("GHCi.RemoteTypes" hides it).
referenceWord :: RemoteRef a -> Word64
referenceWord = runGet get . runPut . put

encoded :: Binary a => a -> IO B.ByteString
encoded = strictly . put

-- | Encoding evaluates a value, so that no error lurks in it.
strictly :: Put -> IO B.ByteString
strictly = evaluate . LB.toStrict . runPut

-- | An answer that can be an exception. One that is thrown by showing another takes its place.
evaluation :: Binary a => (EvalResult r -> a) -> IO a -> IO B.ByteString
evaluation answer action = (action >>= unsafeUnmask . encoded) `catch` \e -> do
  exception <- case toSerializableException e of
    EOtherException _ -> EOtherException <$> exceptionText e
    simple -> return simple
  encoded (answer (EvalException exception))

-- Interrupts --------------------------------------------------------------------------------------

-- | The thread that carries out a message now. Whoever interrupts it holds this until that is done, so
-- that an interrupt never hits what comes next. Weak, or the RTS would never find a splice blocked for ever.
evaluating :: MVar (Maybe (Weak ThreadId))
evaluating = unsafePerformIO (newMVar Nothing)
{-# NOINLINE evaluating #-}

asEvaluator :: Weak ThreadId -> IO a -> IO a
asEvaluator me action = do
  _ <- swapMVar evaluating (Just me)
  result <- uninterruptibleMask_ action
  leave
  return result
  where
    -- An interrupt that comes too late for the action arrives here.
    leave = (() <$ swapMVar evaluating Nothing) `catch` \(_ :: AsyncException) -> leave

-- | The RTS throws HeapOverflow to this thread, and must know one.
foreign import ccall unsafe "rts_setMainThread" setTopHandlerThread :: Weak# ThreadId -> IO ()

interrupt :: IO ()
interrupt = withMVar evaluating $ mapM_ (deRefWeak >=> mapM_ (`throwTo` UserInterrupt))

-- | An exception as text. There may be others lurking in it: then the innermost one counts.
exceptionText :: SomeException -> IO String
exceptionText e = try (evaluate (let s = show e in length s `seq` s)) >>= either exceptionText return

-- Template Haskell --------------------------------------------------------------------------------

-- | What lives as long as the splices of one module: the values of 'TH.putQ', and where we are.
data SpliceState = SpliceState
  { persistent :: M.Map TypeRep Dynamic
  , location   :: Maybe TH.Loc
  }

-- | The monad that splices run in: the state is in the reference that 'StartTH' gave out.
newtype Splice a = Splice { runIn :: IORef SpliceState -> IO a }

-- | 'fail' in a splice, or a refusal from GHC: what 'TH.recover' catches.
newtype SpliceFailure = SpliceFailure String
  deriving Show

instance Exception SpliceFailure

instance Functor Splice where fmap = liftM
instance Applicative Splice where
  pure x = Splice (const (return x))
  (<*>) = ap
instance Monad Splice where
  Splice m >>= k = Splice $ \state -> m state >>= \x -> runIn (k x) state
instance MonadFail Splice where
  fail message = Splice (\_ -> throwIO (SpliceFailure message))
instance MonadIO Splice where
  liftIO io = Splice (const io)

-- | Asks GHC. Not interruptible: question and answer must stay in step.
ask :: Binary a => THMessage (THResult a) -> Splice a
ask question = Splice $ \_ -> uninterruptibleMask_ (send question >> receive) >>= \answer ->
  case answer of
    THException message -> throwIO (SpliceFailure message)
    THComplete result -> return result

-- | Tells GHC something that it does not answer.
tell :: THMessage () -> IO ()
tell = uninterruptibleMask_ . send

send :: THMessage a -> IO ()
send message =
  B.unsafeUseAsCStringLen (LB.toStrict (runPut (putTHMessage message))) $ \(bytes, size) ->
    splicehost_th_request (castPtr bytes) (fromIntegral size)

-- | Reads an answer, which comes in pieces that may end anywhere.
receive :: forall a. Binary a => IO a
receive = go (runGetIncremental get)
  where
    go (Partial continue) = piece >>= go . continue . Just
    go (Fail _ _ message) = throwIO (ErrorCall ("GHC's answer cannot be decoded: " ++ message))
    go (Done rest _ value)
      | B.null rest = return value
      | otherwise = throwIO (ErrorCall "GHC's answer has bytes behind its end")
    piece = alloca $ \sizePtr -> do
      bytes <- splicehost_th_answer sizePtr
      size <- peek sizePtr
      BI.create (fromIntegral size) $ \target -> copyBytes target bytes (fromIntegral size)

-- The C++ side ends the process if the client has hung up, so these two do not fail.
foreign import ccall safe splicehost_th_request :: Ptr Word8 -> CSize -> IO ()
foreign import ccall safe splicehost_th_answer :: Ptr CSize -> IO (Ptr Word8)
foreign import ccall unsafe "splicehost_note_reference" noteReference :: Word64 -> IO ()

instance TH.Quasi Splice where
  qNewName = ask . NewName
  qReport isError message = ask (Report isError message)
  -- GHC keeps or drops what was reported in the body, and says by FailIfErrs whether that were errors.
  qRecover handler body = Splice $ \state -> do
    before <- readIORef state
    outcome <- mask $ \restore -> do
      tell StartRecover
      outcome <- try (restore (runIn (body <* ask FailIfErrs) state))
      tell (EndRecover (either (const True) (const False) outcome))
      return outcome
    case outcome of
      Right result -> return result
      Left (SpliceFailure _) -> writeIORef state before >> runIn handler state
  qLookupName isType name = ask (LookupName isType name)
  qReify = ask . Reify
  qReifyFixity = ask . ReifyFixity
  qReifyType = ask . ReifyType
  qReifyInstances name types = ask (ReifyInstances name types)
  qReifyRoles = ask . ReifyRoles
  qReifyAnnotations = reifyAnnotations
  qReifyModule = ask . ReifyModule
  qReifyConStrictness = ask . ReifyConStrictness
  qLocation = Splice $ \state -> fromMaybe unknown . location <$> readIORef state
    where unknown = TH.Loc "<no file>" "<no package>" "<no module>" (0, 0) (0, 0)
  qAddDependentFile = ask . AddDependentFile
  qAddTempFile = ask . AddTempFile
  qAddTopDecls = ask . AddTopDecls
  qAddForeignFilePath language file = ask (AddForeignFilePath language file)
  qAddModFinalizer finalizer = liftIO (mkRemoteRef finalizer) >>= ask . AddModFinalizer
  qAddCorePlugin = ask . AddCorePlugin
  qGetQ = getPersistent
  qPutQ value = Splice $ \state -> modifyIORef' state $ \s ->
    s { persistent = M.insert (typeOf value) (toDyn value) (persistent s) }
  qIsExtEnabled = ask . IsExtEnabled
  qExtsEnabled = ask ExtsEnabled
#if MIN_VERSION_template_haskell(2,18,0)
  qPutDoc place text = ask (PutDoc place text)
  qGetDoc = ask . GetDoc
#endif
#if MIN_VERSION_template_haskell(2,19,0)
  qGetPackageRoot = ask GetPackageRoot
#endif

reifyAnnotations :: forall a. Data a => TH.AnnLookup -> Splice [a]
reifyAnnotations target =
  map (deserializeWithData . B.unpack) <$> ask (ReifyAnnotations target (typeRep (Proxy :: Proxy a)))

getPersistent :: forall a. Typeable a => Splice (Maybe a)
getPersistent = Splice $ \state ->
  (fromDynamic <=< M.lookup (typeRep (Proxy :: Proxy a))) . persistent <$> readIORef state

-- | Runs Template Haskell code and encodes how it ended.
spliceResult :: Binary a => IO a -> IO B.ByteString
spliceResult action = do
  outcome <- try (unsafeUnmask action)
  hFlush stdout `catch` \(_ :: IOException) -> return ()
  result <- case outcome of
    Right value -> return (QDone value)
    Left e | Just (SpliceFailure message) <- fromException e -> return (QFail message)
           | otherwise -> QException <$> exceptionText e
  encoded result

-- The references that StartTH gives out are typed after GHC's own state; ours is not that.
stateOf :: RemoteRef (IORef QState) -> IO (IORef SpliceState)
stateOf reference = unsafeCoerce <$> localRef reference

runSplice
  :: RemoteRef (IORef QState) -> HValueRef -> THResultType -> Maybe TH.Loc -> IO B.ByteString
runSplice stateRef codeRef kind at = do
  code <- localRef codeRef
  case kind of
    THExp -> inQ (unsafeCoerce code :: TH.Q TH.Exp)
    THPat -> inQ (unsafeCoerce code :: TH.Q TH.Pat)
    THType -> inQ (unsafeCoerce code :: TH.Q TH.Type)
    THDec -> inQ (unsafeCoerce code :: TH.Q [TH.Dec])
    THAnnWrapper -> case unsafeCoerce code of
      AnnotationWrapper thing -> strictly (put (toSerialized serializeWithData thing))
  where
    inQ :: Binary a => TH.Q a -> IO B.ByteString
    inQ code = do
      state <- stateOf stateRef
      restoringState state $ do
        modifyIORef' state $ \s -> s { location = at }
        runIn (TH.runQ code) state >>= strictly . put

runFinalizers :: RemoteRef (IORef QState) -> [RemoteRef (TH.Q ())] -> IO ()
runFinalizers stateRef finalizerRefs = do
  finalizers <- mapM localRef finalizerRefs
  state <- stateOf stateRef
  restoringState state (runIn (TH.runQ (sequence_ finalizers)) state)

-- | Code that fails leaves the module's state as it was.
restoringState :: IORef SpliceState -> IO a -> IO a
restoringState state action = do
  before <- readIORef state
  action `onException` writeIORef state before
