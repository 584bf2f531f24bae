{-# LANGUAGE TemplateHaskell #-}
-- | Singletons of enumerations, by hand: the installed package has only the classes.
module DeriveSing (deriveSing) where

import Data.Singletons
import Language.Haskell.TH

-- | The singleton type of an enumeration, and its 'SingI' and 'SingKind' instances.
deriveSing :: Name -> Q [Dec]
deriveSing enum = do
  TyConI (DataD _ _ _ _ cons _) <- reify enum
  let singled = mkName ('S' : nameBase enum)
      names = [(name, mkName ('S' : nameBase name)) | NormalC name [] <- cons]
      con (name, singledName) =
        gadtC [singledName] [] (conT singled `appT` promotedT name)
      singI (name, singledName) =
        instanceD (pure []) (conT ''SingI `appT` promotedT name)
          [valD (varP 'sing) (normalB (conE singledName)) []]
      from (name, singledName) = clause [conP singledName []] (normalB (conE name)) []
      to (name, singledName) = clause [conP name []] (normalB [|SomeSing $(conE singledName)|]) []
  family <- dataD (pure []) singled [] (Just (AppT (AppT ArrowT (ConT enum)) StarT)) (map con names) []
  instances <- mapM singI names
  instanceOfSing <- pure (TySynInstD (TySynEqn Nothing (AppKindT (ConT ''Sing) (ConT enum)) (ConT singled)))
  kind <-
    instanceD (pure []) (conT ''SingKind `appT` conT enum)
      [ tySynInstD (tySynEqn Nothing (conT ''Demote `appT` conT enum) (conT enum))
      , funD 'fromSing (map from names)
      , funD 'toSing (map to names)
      ]
  pure (family : instanceOfSing : kind : instances)
