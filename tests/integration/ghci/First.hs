module First where
import Second
version :: String
version = "first, " ++ second
