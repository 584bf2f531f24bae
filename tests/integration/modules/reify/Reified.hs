{-# LANGUAGE TemplateHaskell #-}
{-# LANGUAGE PatternSynonyms #-}
-- | Everything of "Zoo" as a splice sees it, as text in the program.
module Reified where

import Data.Maybe (isJust)
import Language.Haskell.TH
import Language.Haskell.TH.Syntax
import Zoo

declarations :: [String]
declarations = $(do
  infos <- mapM reify
    [ ''Plain, ''Wrapper, ''Alias, ''Expr, ''Beast, ''Open, ''Closed, ''Phantom, ''Cage, ''Food
    , 'First, '(:+:), 'field, 'Lit, 'roar, 'Pair, 'apply, '(<+>), 'map, ''Int, ''Monad, ''(->), ''(,) ]
  listE (map (stringE . show) infos))

fixities :: [String]
fixities = $(mapM reifyFixity ['(:+:), '(<+>), 'apply, '(.)] >>= listE . map (stringE . show))

types :: [String]
types = $(mapM reifyType ['apply, 'If, ''Closed, ''Wrapper] >>= listE . map (stringE . show))

roles :: [String]
roles = $(mapM reifyRoles [''Phantom, ''Plain, ''Wrapper] >>= listE . map (stringE . show))

strictness :: [String]
strictness = $(mapM reifyConStrictness ['First, 'Second, 'Just] >>= listE . map (stringE . show))

instances :: [String]
instances = $(do
  shows <- reifyInstances ''Show [ConT ''Bool]
  opens <- reifyInstances ''Open [AppT ListT (ConT ''Int)]
  none <- isInstance ''Num [ConT ''Bool]
  listE (map stringE [show shows, show opens, show none]))

names :: [String]
names = $(do
  known <- lookupValueName "apply"
  unknown <- lookupTypeName "NoSuchType"
  listE (map stringE [show known, show (isJust unknown)]))

-- | Where the splice stands, which extensions are on, what the module imports.
surroundings :: [String]
surroundings = $(do
  here <- location
  on <- mapM isExtEnabled [TemplateHaskell, Cpp, PatternSynonyms]
  count <- length <$> extsEnabled
  ModuleInfo imports <- reifyModule =<< thisModule
  listE (map stringE [show (loc_start here), loc_module here, show on, show count, show imports]))
