{-# LANGUAGE ForeignFunctionInterface #-}

module Processor where

import Foreign.C (CInt (..))

foreign import ccall unsafe "processor_has_sse2" hasSse2 :: CInt
