{-# LANGUAGE TemplateHaskell #-}
-- Questions to the compiler that splices can ask since GHC 9.2.
module Documented where

import Language.Haskell.TH
import Language.Haskell.TH.Syntax

-- | Has a comment.
commented :: Int
commented = 1

return []

facts :: (Maybe String, Maybe String)
facts =
  $(do
      addModFinalizer (putDoc (DeclDoc (mkName "commented")) "Has another comment.")
      module_ <- getDoc ModuleDoc
      declared <- getDoc (DeclDoc 'commented)
      _ <- getPackageRoot
      lift (module_, declared))
