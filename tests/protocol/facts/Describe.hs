{-# LANGUAGE DeriveLift #-}

-- | What the types of GHC's messages are, for "Facts".
module Describe
  ( Shape (..)
  , Constructor (..)
  , constructorsOf
  , shapeOf
  , text
  , samples
  ) where

import Data.Binary (encode)
import qualified Data.ByteString.Lazy as Bytes
import Data.List (intercalate)
import Data.Word (Word64)
import Language.Haskell.TH
import Language.Haskell.TH.Syntax (Lift)

-- | How a type is encoded by the class Binary, if its instance is the generic one.
data Shape
  = Leaf String
  -- ^ A type that is known by its name.
  | List Shape
  | Tuple [Shape]
  | Sum String [(String, [Shape])]
  -- ^ Its name; constructors and their fields.
  | Again String
  -- ^ A type that this is a part of.
  deriving Lift

-- | A constructor of a GADT of messages: its name, its fields, and what the message is answered with.
data Constructor = Constructor Name [Type] Type

-- | Those of @data Message answer where …@.
constructorsOf :: Name -> Q [Constructor]
constructorsOf name = do
  info <- reify name
  case info of
    TyConI (DataD _ _ _ _ constructors _) -> concat <$> mapM one constructors
    _ -> fail (show name ++ " is no data type")
  where
    one (ForallC _ _ constructor) = one constructor
    one (GadtC names fields (AppT _ answer)) = pure [Constructor each (map snd fields) answer | each <- names]
    one (RecGadtC names fields (AppT _ answer)) =
      pure [Constructor each [field | (_, _, field) <- fields] answer | each <- names]
    one other = fail ("a constructor of " ++ show name ++ " is of an unknown form: " ++ show other)

-- Types whose instances are written by hand, or that are abstract.
leaves :: [String]
leaves =
  [ "Int", "Int64", "Word", "Word8", "Word16", "Word32", "Word64", "Char", "ByteString", "Fingerprint", "RemotePtr"
  , "RemoteRef", "GenClosure", "ResolvedBCO" ]

shapeOf :: Type -> Q Shape
shapeOf = go []

go :: [Name] -> Type -> Q Shape
go outer type_ = case unapplied type_ [] of
  (ListT, [element]) -> list element
  (ConT name, arguments)
    | nameBase name `elem` ["[]", "List"], [element] <- arguments -> list element
    | nameBase name `elem` leaves -> pure (Leaf (nameBase name))
    | name `elem` outer -> pure (Again (nameBase name))
    | otherwise -> reify name >>= named name arguments
  (TupleT _, elements) -> Tuple <$> mapM (go outer) elements
  (other, _) -> pure (Leaf (pprint other))
  where
    list element = do
      shape <- go outer element
      pure (case shape of Leaf "Char" -> Leaf "String"; _ -> List shape)
    named _ arguments (TyConI (TySynD _ variables right)) = go outer (substituted variables arguments right)
    named name arguments (TyConI (DataD _ _ variables _ constructors _)) =
      sumOf name variables arguments constructors
    named name arguments (TyConI (NewtypeD _ _ variables _ constructor _)) =
      sumOf name variables arguments [constructor]
    named name _ _ = pure (Leaf (nameBase name))
    sumOf name variables arguments constructors = do
      let fieldsOf (NormalC each fields) = pure (each, map snd fields)
          fieldsOf (RecC each fields) = pure (each, [field | (_, _, field) <- fields])
          fieldsOf (InfixC (_, left) each (_, right)) = pure (each, [left, right])
          fieldsOf other = fail ("a constructor of " ++ show name ++ " is of an unknown form: " ++ show other)
      parts <- mapM fieldsOf constructors
      shapes <- mapM (\(each, fields) -> (,) (nameBase each) <$>
                        mapM (go (name : outer) . substituted variables arguments) fields) parts
      pure (case shapes of [("()", [])] -> Tuple []; _ -> Sum (nameBase name) shapes)

unapplied :: Type -> [Type] -> (Type, [Type])
unapplied (AppT function argument) arguments = unapplied function (argument : arguments)
unapplied (SigT inner _) arguments = unapplied inner arguments
unapplied (ParensT inner) arguments = unapplied inner arguments
unapplied other arguments = (other, arguments)

substituted :: [TyVarBndr flag] -> [Type] -> Type -> Type
substituted variables arguments = inside
  where
    known = zip (map nameOf variables) arguments
    nameOf (PlainTV name _) = name
    nameOf (KindedTV name _ _) = name
    inside (VarT name) = maybe (VarT name) id (lookup name known)
    inside (AppT function argument) = AppT (inside function) (inside argument)
    inside (SigT inner _) = inside inner
    inside (ParensT inner) = inside inner
    inside other = other

-- | In one word: @Maybe{Nothing|Just String}@.
text :: Shape -> String
text (Leaf name) = name
text (Again name) = name
text (List element) = "[" ++ text element ++ "]"
text (Tuple elements) = "(" ++ intercalate "," (map text elements) ++ ")"
text (Sum name constructors) = name ++ "{" ++ intercalate "|" (map one constructors) ++ "}"
  where one (constructor, fields) = unwords (constructor : map text fields)

-- | Encodings of values that have, together, each constructor once at the least. Nothing for a type that has only
-- itself to say what it is.
samples :: Shape -> Maybe [Bytes.ByteString]
samples = inside []
  where
    inside outer shape = case shape of
      Leaf "Char" -> Just [encode 'x']
      Leaf "String" -> Just [encode "", encode "caf\233"]
      Leaf "ByteString" -> Just [encode (Bytes.pack []), encode (Bytes.pack [1, 0, 255])]
      Leaf "Fingerprint" -> Just [encode (1 :: Word64, 2 :: Word64)]
      Leaf name | name `elem` words "Int Int64 Word Word64 RemotePtr RemoteRef" -> Just [encode (number :: Word64)]
      Leaf _ -> Nothing
      Again name -> lookup name outer
      List element -> do
        each <- inside outer element
        Just [encode (0 :: Int), encode (length each) <> mconcat each]
      Tuple elements -> together <$> mapM (inside outer) elements
      Sum name constructors -> do
        let tagged = if length constructors == 1 then const mempty else Bytes.singleton
            -- Within itself it is the first that has no fields of the same type.
            parts inner = [ map (tagged tag <>) . together <$> mapM (inside inner) fields
                          | (tag, (_, fields)) <- zip [0 ..] constructors ]
            simple = take 1 [each : [] | Just (each : _) <- parts outer]
        concat <$> sequence (parts ([(name, concat simple)] ++ outer))
    -- All fields' first samples together, all second ones, and so on; the last one of those that have fewer.
    together fields = [mconcat [each !! min n (length each - 1) | each <- fields]
                      | n <- [0 .. maximum (1 : map length fields) - 1]]
    number = 0x0102030405060708
