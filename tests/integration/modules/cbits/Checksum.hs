{-# LANGUAGE ForeignFunctionInterface #-}
-- | A module with C sources of its own.
module Checksum where

import Data.Word
import Foreign
import Foreign.C

foreign import ccall unsafe "checksum" c_checksum :: CString -> IO Word32
foreign import ccall safe "checksum_calls" checksumCalls :: IO Word32
foreign import ccall "&checksum_name" checksumName :: CString
foreign import ccall "fold_doubles"
  c_fold :: FunPtr (Double -> Double -> Double) -> Double -> Ptr Double -> CInt -> IO Double
foreign import ccall "wrapper"
  makeStep :: (Double -> Double -> Double) -> IO (FunPtr (Double -> Double -> Double))

checksum :: String -> IO Word32
checksum text = withCString text c_checksum

foldDoubles :: (Double -> Double -> Double) -> Double -> [Double] -> IO Double
foldDoubles step start values = do
  callback <- makeStep step
  result <- withArrayLen values $ \n p -> c_fold callback start p (fromIntegral n)
  freeHaskellFunPtr callback
  pure result
