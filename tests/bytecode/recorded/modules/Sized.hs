{-# LANGUAGE ExtendedLiterals, MagicHash #-}
-- Alternatives by integers of all sizes, which only have literals since GHC 9.8.
module Sized where

import GHC.Exts

int8 :: Int8# -> Int
int8 x = case x of { 1#Int8 -> 1; 5#Int8 -> 2; 9#Int8 -> 3; _ -> 0 }

int16 :: Int16# -> Int
int16 x = case x of { 1#Int16 -> 1; 5#Int16 -> 2; 9#Int16 -> 3; _ -> 0 }

int32 :: Int32# -> Int
int32 x = case x of { 1#Int32 -> 1; 5#Int32 -> 2; 9#Int32 -> 3; _ -> 0 }

int64 :: Int64# -> Int
int64 x = case x of { 1#Int64 -> 1; 5#Int64 -> 2; 9#Int64 -> 3; _ -> 0 }

word8 :: Word8# -> Int
word8 x = case x of { 1#Word8 -> 1; 5#Word8 -> 2; 9#Word8 -> 3; _ -> 0 }

word16 :: Word16# -> Int
word16 x = case x of { 1#Word16 -> 1; 5#Word16 -> 2; 9#Word16 -> 3; _ -> 0 }

word32 :: Word32# -> Int
word32 x = case x of { 1#Word32 -> 1; 5#Word32 -> 2; 9#Word32 -> 3; _ -> 0 }

word64 :: Word64# -> Int
word64 x = case x of { 1#Word64 -> 1; 5#Word64 -> 2; 9#Word64 -> 3; _ -> 0 }
