{-# LANGUAGE TemplateHaskell #-}
-- | Annotations of another module, read back by splices.
module Readers where

import Annotated
import Language.Haskell.TH
import Note

notesOfUnbox :: String
notesOfUnbox = $(do
  notes <- reifyAnnotations (AnnLookupName 'unbox) :: Q [Note]
  stringE (show notes))

notesOfBox :: String
notesOfBox = $(do
  notes <- reifyAnnotations (AnnLookupName ''Box) :: Q [Maybe Int]
  stringE (show notes))
