{-# LANGUAGE ForeignFunctionInterface #-}
-- | Foreign calls from interpreted code: each size and kind of argument and result.
module Calls where

import Data.Int
import Data.Word
import Foreign.C
import Foreign.Ptr

foreign import ccall unsafe "sin" c_sin :: Double -> Double
foreign import ccall safe "sqrtf" c_sqrtf :: Float -> Float
foreign import ccall "abs" c_abs :: CInt -> CInt
foreign import ccall "toupper" c_toupper :: CInt -> IO CInt
foreign import ccall "strlen" c_strlen :: CString -> IO CSize
foreign import ccall "&free" p_free :: FunPtr (Ptr a -> IO ())
foreign import ccall "&toupper" p_toupper :: FunPtr (CInt -> IO CInt)
foreign import ccall "dynamic" call :: FunPtr (CInt -> IO CInt) -> CInt -> IO CInt
foreign import ccall "mixed" mixed
  :: Int8 -> Word8 -> Int16 -> Word16 -> Int32 -> Word32 -> Int64 -> Word64
  -> Float -> Double -> CString -> Word8 -> IO Double
foreign import ccall "narrow" narrow :: CInt -> IO Int8
foreign import ccall "nothing" nothing :: IO ()
