{-# LANGUAGE ForeignFunctionInterface #-}
module Exported where

import Foreign
import Foreign.C

foreign export ccall "exported_add" add :: CInt -> CInt -> CInt

add :: CInt -> CInt -> CInt
add = (+)

foreign import ccall "exported_add" addFromC :: CInt -> CInt -> CInt
foreign import ccall "wrapper" wrap :: (CInt -> IO CInt) -> IO (FunPtr (CInt -> IO CInt))
foreign import ccall "dynamic" call :: FunPtr (CInt -> IO CInt) -> CInt -> IO CInt

through :: CInt -> IO CInt
through n = do
  callback <- wrap (\m -> putStrLn ("called with " ++ show m) >> pure (m * 2))
  call callback n <* freeHaskellFunPtr callback
