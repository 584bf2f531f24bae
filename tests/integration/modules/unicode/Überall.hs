{-# LANGUAGE TemplateHaskell #-}
-- | Uses the other module's splices with Greek, Cyrillic and CJK text.
module Überall where

import Größe.Länge
import Language.Haskell.TH

benenne "Ωμέγα"
benenne "Жук"
benenne "日本"

alles :: [String]
alles = $(do
  info <- reify ''Maß
  here <- location
  listE (varE (mkName "längeΩμέγα") : map stringE [show info, pprint info, loc_filename here]))
