{-# LANGUAGE DataKinds #-}
{-# LANGUAGE GADTs #-}
{-# LANGUAGE KindSignatures #-}
{-# LANGUAGE TemplateHaskell #-}
{-# LANGUAGE TypeApplications #-}
{-# LANGUAGE TypeFamilies #-}
-- | An enumeration, its singletons, and a demotion that goes through them.
module Fruit where

import Data.Singletons
import DeriveSing

data Fruit = Apple | Pear | Quince
  deriving (Show, Eq)

deriveSing ''Fruit

quince :: Fruit
quince = demote @'Quince
