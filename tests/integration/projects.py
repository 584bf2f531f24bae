"""The Haskell projects of `modules/`: what is compiled, and in which order."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Project:
    """A directory of modules: sources in dependency order, C sources that belong to them."""

    name: str
    sources: tuple
    c_sources: tuple = ()

    @property
    def has_many_modules(self):
        return len(self.sources) > 1


PROJECTS = (
    Project("plain", ("Plain.hs",)),
    Project("literals", ("Literals.hs",)),
    Project("lens", ("Lenses.hs",)),
    Project("aeson", ("Json.hs",)),
    Project("yesod", ("App.hs",)),
    Project("persistent", ("Entities.hs",)),
    Project("singletons", ("DeriveSing.hs", "Fruit.hs")),
    Project("embed", ("Embedded.hs",)),
    Project("annotations", ("Note.hs", "Annotated.hs", "Readers.hs")),
    Project("reify", ("Zoo.hs", "Reified.hs")),
    Project("effects", ("Effects.hs",)),
    Project("quoter", ("Quoter.hs", "Quoted.hs")),
    Project("cbits", ("Checksum.hs", "UsesC.hs"), ("cbits/checksum.c",)),
    Project("exports", ("Callbacks.hs", "UsesCallbacks.hs")),
    Project("unicode", ("Größe/Länge.hs", "Überall.hs")),
    Project("diamond", ("Bottom.hs", "Left.hs", "Right.hs", "Main.hs")),
)
