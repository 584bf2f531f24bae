{-# LANGUAGE ForeignFunctionInterface, MagicHash, ScopedTypeVariables, BangPatterns, UnliftedFFITypes, GADTs, InterruptibleFFI, FlexibleContexts #-}
module Interp where
import Foreign.C
import Foreign.Ptr
import GHC.Exts
import GHC.Word
import GHC.Int
import Data.IORef
import Control.Monad
foreign import ccall unsafe "math.h sin" c_sin :: CDouble -> CDouble
foreign import ccall safe "math.h pow" c_pow :: Double -> Double -> Double
foreign import ccall interruptible "unistd.h getpid" c_getpid :: IO CInt
foreign import ccall unsafe "string.h memset" c_memset :: MutableByteArray# RealWorld -> CInt -> CSize -> IO (Ptr ())
foreign import ccall "stdlib.h &free" p_free :: FunPtr (Ptr a -> IO ())
foreign import ccall unsafe "math.h sinf" c_sinf :: Float -> Float
foreign import ccall unsafe "stdlib.h llabs" c_llabs :: Int64 -> Int64
data Colour = Red | Green | Blue deriving (Eq, Ord, Show, Enum, Bounded, Read)
data Packed = Packed {-# UNPACK #-} !Word8 {-# UNPACK #-} !Word16 {-# UNPACK #-} !Word32 {-# UNPACK #-} !Double {-# UNPACK #-} !Float Int
data T = T Word8# Word16# Float# Double# Int
data Tree a = Leaf | Node (Tree a) a (Tree a) deriving (Show, Eq)
insert :: Ord a => a -> Tree a -> Tree a
insert x Leaf = Node Leaf x Leaf
insert x t@(Node l y r) = case compare x y of
  LT -> Node (insert x l) y r
  GT -> Node l y (insert x r)
  EQ -> t
classify :: Int -> String
classify n = case n of { 0 -> "zero"; 1 -> "one"; 7 -> "seven"; 12 -> "dozen"; 100 -> "hundred"; _ | n < 0 -> "neg" | otherwise -> "many" }
word :: Word -> Int
word w = case w of { 0 -> 1; 5 -> 2; 99 -> 3; _ -> 4 }
dbl :: Double -> Float -> Int
dbl d f = (case d of { 1.5 -> 1; 2.5 -> 2; 9.5 -> 4; _ -> 3 }) + case f of { 0.5 -> 1; 4.5 -> 9; _ -> 2 }
lits# :: Word# -> Char# -> Int
lits# w c = case w of { 3## -> 4; 9## -> 5; 100## -> 8; _ -> case c of { 'x'# -> 4; 'z'# -> 5; _ -> 2 }}
app :: (Double# -> Float# -> Int# -> Int -> Int) -> Int
app f = f 1.0## 2.0# 3# 4
many :: (a->a->a->a->a->a->a->a->b) -> a -> b
many f a = f a a a a a a a a
packed :: Int -> Packed
packed n = Packed (fromIntegral n) 300 70000 1.25 2.5 n
unpack :: Packed -> Int
unpack (Packed a b c d e f) = fromIntegral a + fromIntegral b + fromIntegral c + truncate d + truncate e + f
ret# :: Int# -> Double#
ret# x = int2Double# (x +# 1#)
retf# :: Double -> Float#
retf# (D# d) = double2Float# d
memo :: IORef Int -> IO Int
memo r = do
  modifyIORef r (+ 1)
  forM_ [1 .. 3 :: Int] $ \i -> when (even i) $ writeIORef r i
  readIORef r
big :: Int -> (Int,Int,Int,Int,Int,Int,Int,Int,Int,Int)
big !n = let a=n+1;b=a+n;c=b+a;d=c+b;e=d+c;f=e+d;g=f+e;h=g+f;i=h+g;j=i+h in (a,b,c,d,e,f,g,h,i,j)
foo :: Int -> Int
foo x = let go 0 acc = acc
            go n acc = go (n - 1) (acc + x) in go 10 0
main :: IO ()
main = do
  print (insert 3 (insert (5 :: Int) Leaf), map classify [0, 1, 7, 9], word 5, dbl 2.5 0.5)
  print (c_sin 1, c_pow 2 3, c_sinf 1, c_llabs (-4))
  p <- c_getpid
  print (p > 0, unpack (packed 4), [minBound .. maxBound :: Colour], foo 4, big 3)
  r <- newIORef 0
  memo r >>= print
data MBA = MBA (MutableByteArray# RealWorld)
clear :: MBA -> IO (Ptr ())
clear (MBA m) = c_memset m 0 16
data BA = BA ByteArray#
foreign import ccall unsafe "string.h strlen" c_strlen :: ByteArray# -> IO CSize
len :: BA -> IO CSize
len (BA b) = c_strlen b
