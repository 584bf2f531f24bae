-- Parts of messages, for Encode.hs and the Differences modules.
module Values where

import Data.Binary (Binary, put)
import Data.Binary.Put (Put)
import GHCi.Message
import GHCi.RemoteTypes
import Unsafe.Coerce (unsafeCoerce)

-- A reference is a number; not all versions export the constructor.
ref :: Integer -> RemoteRef a
ref n = unsafeCoerce (RemotePtr (fromInteger n))

pointer :: Integer -> RemotePtr a
pointer = RemotePtr . fromInteger

-- The answer to a message, of the type that the message asks for.
answer :: Binary a => (b -> Message a) -> a -> Put
answer _ = put

-- The same for one without arguments.
answer0 :: Binary a => Message a -> a -> Put
answer0 _ = put
