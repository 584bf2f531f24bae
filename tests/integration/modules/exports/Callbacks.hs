{-# LANGUAGE ForeignFunctionInterface #-}
-- | Functions exported to C, and every way of importing: by name, by address, through pointers.
module Callbacks where

import Foreign
import Foreign.C

triple :: CInt -> CInt
triple = (* 3)

foreign export ccall "splicehost_triple" triple :: CInt -> CInt

greet :: CInt -> IO CInt
greet n = pure (n + fromIntegral (length "greetings"))

foreign export ccall "splicehost_greet" greet :: CInt -> IO CInt

-- | The exported functions again, as C sees them.
foreign import ccall "splicehost_triple" tripleFromC :: CInt -> CInt
foreign import ccall "&splicehost_greet" greetAddress :: FunPtr (CInt -> IO CInt)
foreign import ccall "dynamic" callGreet :: FunPtr (CInt -> IO CInt) -> CInt -> IO CInt

foreign import ccall unsafe "math.h sin" c_sin :: Double -> Double
foreign import ccall "&environ" c_environ :: Ptr (Ptr CString)
foreign import ccall "wrapper" wrap :: (Ptr CInt -> Ptr CInt -> IO CInt) -> IO (FunPtr (Ptr CInt -> Ptr CInt -> IO CInt))
foreign import ccall "stdlib.h qsort"
  c_qsort :: Ptr CInt -> CSize -> CSize -> FunPtr (Ptr CInt -> Ptr CInt -> IO CInt) -> IO ()

-- | C's sort with a comparison written in Haskell.
sortInC :: [CInt] -> IO [CInt]
sortInC numbers = do
  order <- wrap (\a b -> (\x y -> fromIntegral (fromEnum (compare x y) - 1)) <$> peek a <*> peek b)
  withArrayLen numbers $ \n p -> do
    c_qsort p (fromIntegral n) (fromIntegral (sizeOf (0 :: CInt))) order
    peekArray n p <* freeHaskellFunPtr order
