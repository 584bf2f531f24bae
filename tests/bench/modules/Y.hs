{-# LANGUAGE MultiParamTypeClasses #-}
{-# LANGUAGE OverloadedStrings #-}
{-# LANGUAGE QuasiQuotes #-}
{-# LANGUAGE TemplateHaskell #-}
{-# LANGUAGE TypeFamilies #-}
{-# LANGUAGE ViewPatterns #-}

-- | A small Yesod application: a route table and two quasi-quoted pages.
module Y where

import Data.Text (Text)
import Yesod.Core

data Shop = Shop

mkYesod "Shop" [parseRoutes|
/                 HomeR    GET
/item/#Int        ItemR    GET
/search/#Text     SearchR  GET
/basket/*Texts    BasketR  GET POST
|]

instance Yesod Shop

getHomeR :: Handler Html
getHomeR = defaultLayout [whamlet|
  <h1>Shop
  <ul>
    $forall item <- items
      <li>
        <a href=@{ItemR item}>Item #{item}
  |]
  where
    items = [1 .. 5] :: [Int]

getItemR :: Int -> Handler Html
getItemR item = defaultLayout [whamlet|
  <h1>Item #{item}
  $if item > 1
    <a href=@{ItemR (item - 1)}>previous
  $else
    <p>This is the first one.
  <a href=@{HomeR}>all items
  |]

getSearchR :: Text -> Handler Text
getSearchR = pure

getBasketR, postBasketR :: [Text] -> Handler Text
getBasketR = pure . mconcat
postBasketR = getBasketR
