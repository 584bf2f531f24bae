{-# LANGUAGE CPP #-}
{-# LANGUAGE MagicHash #-}
{-# LANGUAGE UnboxedSums #-}
{-# LANGUAGE UnboxedTuples #-}
-- | Interpreted code for the corners of the byte code: unboxed values of each size, large frames.
module Primitive where

import Data.Int
import Data.Word
import GHC.Exts

classifyInt :: Int# -> Int
classifyInt n = case n of { 0# -> 10; 1# -> 11; -5# -> 12; 4611686018427387904# -> 13; _ -> 14 }

classifyWord :: Word# -> Int
classifyWord n = case n of { 0## -> 20; 18446744073709551615## -> 21; _ -> 22 }

-- There are instructions for these patterns, which newer GHCs do not have any more.
classifyDouble :: Double# -> Int
classifyFloat :: Float# -> Int
#if __GLASGOW_HASKELL__ < 906
classifyDouble d = case d of { 0.0## -> 30; 1.5## -> 31; _ -> 32 }
classifyFloat d = case d of { 0.0# -> 40; 2.5# -> 41; _ -> 42 }
#else
classifyDouble d
  | isTrue# (d ==## 0.0##) = 30
  | isTrue# (d ==## 1.5##) = 31
  | otherwise = 32
classifyFloat d
  | isTrue# (d `eqFloat#` 0.0#) = 40
  | isTrue# (d `eqFloat#` 2.5#) = 41
  | otherwise = 42
#endif

classifyChar :: Char -> Int
classifyChar c = case c of { 'a' -> 50; 'ß' -> 51; '\x10FFFF' -> 52; _ -> 53 }

classifyText :: String -> Int
classifyText t = case t of { "" -> 60; "größe" -> 61; 'x' : _ -> 62; _ -> 63 }

unboxed :: Int -> (# Int#, Double#, Int #)
unboxed n@(I# i) = (# i +# 1#, int2Double# i, n #)

useUnboxed :: Int -> (Int, Double, Int)
useUnboxed n = case unboxed n of (# a, b, c #) -> (I# a, D# b, c)

alternative :: Int -> (# Int | Bool | Char# #)
alternative 0 = (# 0 | | #)
alternative 1 = (# | True | #)
alternative _ = (# | | 'z'# #)

useAlternative :: Int -> String
useAlternative n = case alternative n of
  (# i | | #) -> show i
  (# | b | #) -> show b
  (# | | c #) -> show (C# c)

manyArguments :: Int -> Double -> Char -> Int8 -> Word16 -> Float -> [Int] -> (Int, Int) -> Int -> Int -> Int -> String
manyArguments a b c d e f g (h, i) j k l =
  show (a, b, c, d, e, f) ++ show (g, h, i, j, k, l)

partial :: Int -> Int -> String
partial = manyArguments 1 2.5 'c' (-8) 65535 0.25 [1, 2] (3, 4) 5

-- | A frame of many live variables.
wide :: Int -> Int
wide n =
  let a = n + 1; b = a * 2; c = b - n; d = c * a; e = d + b; f = e * 3; g = f - a; h = g + c
      i = h * 2; j = i - d; k = j + e; l = k * f; m = l - g; o = m + h; p = o * 2; q = p - i
      later x = a + b + c + d + e + f + g + h + i + j + k + l + m + o + p + q + x
   in later (later (later n) `mod` 1000)

data Several = Several Int Double Char !Int {-# UNPACK #-} !Word8 String | Few | Other Float
  deriving (Show, Eq, Ord)

data Letter = A | B | C | D | E | F | G | H | I | J
  deriving (Show, Eq, Ord, Enum, Bounded)

bytes :: Int -> Int
bytes (I# n) = case runRW# (\s -> case newByteArray# n s of
  (# s1, array #) -> case fillTo array n s1 of
    s2 -> case readCharArray# array (n -# 1#) s2 of
      (# _, c #) -> (# s2, I# (ord# c) #)) of (# _, r #) -> r
  where
    fillTo _ 0# s = s
    fillTo array i s =
      fillTo array (i -# 1#) (writeCharArray# array (i -# 1#) (chr# i) s)

loop :: Int -> Int -> Int
loop acc 0 = acc
loop acc n = loop (acc + n) (n - 1)
