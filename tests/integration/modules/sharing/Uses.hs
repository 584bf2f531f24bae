{-# LANGUAGE TemplateHaskell #-}
-- | Says which build of the library its splice ran.
module Uses where

import Language.Haskell.TH
import Subject

$(runIO (values >>= print) >> pure [])
