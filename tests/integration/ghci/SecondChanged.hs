module Second where
second :: String
second = "second, changed"
