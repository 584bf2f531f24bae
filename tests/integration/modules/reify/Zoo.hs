{-# LANGUAGE DataKinds #-}
{-# LANGUAGE FunctionalDependencies #-}
{-# LANGUAGE GADTs #-}
{-# LANGUAGE PatternSynonyms #-}
{-# LANGUAGE PolyKinds #-}
{-# LANGUAGE RankNTypes #-}
{-# LANGUAGE RoleAnnotations #-}
{-# LANGUAGE StandaloneKindSignatures #-}
{-# LANGUAGE TypeFamilies #-}
{-# LANGUAGE UndecidableInstances #-}
-- | One of each kind of thing that a splice can ask about.
module Zoo where

import Data.Kind (Type)

data Plain a = First a | Int :+: a | Second {field :: !a, other :: {-# UNPACK #-} !Int}
  deriving (Eq, Show)

infixr 6 :+:

newtype Wrapper f a = Wrapper {unwrap :: f a}

type Alias a = Either a (Maybe a)

data Expr :: Type -> Type where
  Lit :: Int -> Expr Int
  IsZero :: Expr Int -> Expr Bool
  If :: Expr Bool -> Expr a -> Expr a -> Expr a
  Exists :: Show b => b -> Expr String

class (Eq a, Show a) => Beast a b | a -> b where
  type Food a :: Type
  data Cage a
  roar :: a -> b -> String
  roar a _ = show a
  {-# MINIMAL size #-}
  size :: a -> Int

instance Beast Bool Int where
  type Food Bool = Char
  data Cage Bool = BoolCage | NoCage Int
  size = fromEnum

type family Open a
type instance Open Int = Bool
type instance Open [a] = a

type Closed :: Type -> Type
type family Closed a where
  Closed Int = Char
  Closed (Maybe a) = a
  Closed a = a

pattern Pair :: a -> b -> (a, b)
pattern Pair x y = (x, y)

type role Phantom nominal phantom
data Phantom a b = Phantom

apply :: (forall x. [x] -> Int) -> String -> Int
apply f = f

infixl 3 <+>
(<+>) :: Num a => a -> a -> a
(<+>) = (+)
