{-# LANGUAGE MultiParamTypeClasses #-}
{-# LANGUAGE OverloadedStrings #-}
{-# LANGUAGE QuasiQuotes #-}
{-# LANGUAGE TemplateHaskell #-}
{-# LANGUAGE TypeFamilies #-}
{-# LANGUAGE ViewPatterns #-}
-- | A small web application: routes and two pages, all from quasi-quotes.
module App where

import Data.Text (Text)
import Yesod.Core

data App = App {appTitle :: Text, appVisits :: Int}

mkYesod "App" [parseRoutes|
/               HomeR    GET
/entry/#Int     EntryR   GET POST
/search/+[Text] SearchR  GET
|]

instance Yesod App

getHomeR :: Handler Html
getHomeR = do
  App title visits <- getYesod
  defaultLayout $ do
    setTitle "Home"
    toWidget [lucius|
      body { margin: 2em; }
      h1 { color: #334455; }
    |]
    [whamlet|
      <h1>#{title}
      <p>Visited #{visits} times.
      <a href=@{EntryR 1}>The first entry
    |]

getEntryR :: Int -> Handler Html
getEntryR n = defaultLayout [whamlet|
  $if n > 0
    <p>Entry number #{n}
  $else
    <p>There is no such entry.
  <a href=@{HomeR}>Home
|]

postEntryR :: Int -> Handler ()
postEntryR = redirect . EntryR

getSearchR :: [Text] -> Handler Value
getSearchR = returnJson
