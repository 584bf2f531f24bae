{-# LANGUAGE TemplateHaskell #-}
module Splice where

import Language.Haskell.TH
import Language.Haskell.TH.Syntax

data Shape = Circle Double | Square { side :: Double }

infixl 6 <+>
(<+>) :: Int -> Int -> Int
a <+> b = a + b

-- Makes what is above known to the next splice.
$(return [])

-- Asks the compiler for most of what a splice can ask for.
constructors :: [String]
constructors =
  $(do
      TyConI (DataD _ _ _ _ cons _) <- reify ''Shape
      _ <- reifyFixity '(<+>)
      _ <- reifyType '(<+>)
      _ <- reifyInstances ''Show [ConT ''Int]
      _ <- reifyRoles ''Maybe
      _ <- reifyConStrictness 'Circle
      _ <- reifyModule =<< thisModule
      _ <- location
      _ <- newName "x"
      _ <- lookupValueName "map"
      _ <- isExtEnabled TemplateHaskell
      _ <- extsEnabled
      addDependentFile "Splice.hs"
      addModFinalizer (runIO (return ()))
      reportWarning "\955: a warning on purpose"
      kept <- recover (return "recovered") (fail "on purpose")
      let name (NormalC n _) = nameBase n
          name (RecC n _) = nameBase n
          name _ = kept
      lift (kept : map name cons))

-- Splices of the other kinds.
identity :: $([t| Int -> Int |])
identity $(varP (mkName "x")) = x

{-# ANN identity (Just "annotation") #-}
