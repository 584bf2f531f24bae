{-# LANGUAGE CPP, ForeignFunctionInterface #-}
-- | A library whose values say which build of it was loaded, and whose state says who ran it before.
module Subject (haskellValue, ownCValue, dependencyValue, values, bump, sleepInC) where

import Data.IORef
import Foreign.C
import System.IO.Unsafe

haskellValue :: Int
haskellValue = VALUE
{-# NOINLINE haskellValue #-}

-- | From the library's own C source.
foreign import ccall unsafe "subject_value" ownCValue :: IO CInt

-- | From a shared object that a shared object needs which the library needs.
foreign import ccall unsafe "outer_value" dependencyValue :: IO CInt

values :: IO (Int, CInt, CInt)
values = (,,) haskellValue <$> ownCValue <*> dependencyValue

counter :: IORef Int
counter = unsafePerformIO (newIORef 0)
{-# NOINLINE counter #-}

-- | How often it has been called in this process.
bump :: IO Int
bump = atomicModifyIORef counter (\n -> (n + 1, n + 1))

-- | Waits so many seconds, out of reach of the runtime system.
foreign import ccall unsafe "sleep" sleepInC :: CUInt -> IO CUInt
