"""`base` as the name or folder of an earlier model, to go on from it with new data or new labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from nanosmith.core.errors import InputError, NotFound, did_you_mean
from nanosmith.core.manifest import MANIFEST_NAME
from nanosmith.core.settings import TuneSettings
from nanosmith.core.task import Task
from nanosmith.recipes.base_folder import catalogue
from nanosmith.store.bundles import Bundle, open_bundle
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger, open_ledger
from nanosmith.store.records import ModelRow

if TYPE_CHECKING:
    from nanosmith.recipes.parts.from_bundle import TunedBase, TunedStatic

STATIC = "static/1"
RECIPES = {STATIC: (STATIC,), "encoder/1": ("tune_encoder/1", "frozen_linear/1")}
"""What can be trained further from each runtime's bundles; the first is the default."""
SIZES = {STATIC: ("auto", "pico"), "encoder/1": ("auto", "nano")}


class Earlier(msgspec.Struct, frozen=True):
    """A sealed model to go on from. `name` is the one it is called by."""

    name: str
    bundle: Bundle

    @property
    def task(self) -> Task:
        return self.bundle.manifest.task

    @property
    def oos_label(self) -> str | None:
        """What it answers where a query is about none of its labels."""
        scope = self.bundle.manifest.scope
        return scope.label if scope else None

    @property
    def is_static(self) -> bool:
        """Whether training it takes seconds, however many examples there are."""
        return self.bundle.manifest.predictor == STATIC

    def open(self, cache: Path | None) -> TunedBase | TunedStatic:
        """Its weights as a base. Raises InputError."""
        from nanosmith.recipes.parts.from_bundle import open_tuned

        return open_tuned(self.bundle, cache)

    def recipe(self, settings: TuneSettings) -> str:
        """How it is trained further: as it was made, or as the settings say. Raises InputError."""
        self._refuse(settings)
        kind = self.bundle.manifest.predictor
        if kind not in RECIPES:
            raise InputError("a model of this runtime cannot be trained further", got=kind,
                             allowed=", ".join(RECIPES), param="base")  # fmt: skip
        if settings.size not in SIZES[kind]:
            raise self._misfit("size", settings.size, SIZES[kind])
        asked = settings.recipe and (settings.recipe if "/" in settings.recipe else f"{settings.recipe}/1")
        if asked and asked not in RECIPES[kind]:
            raise self._misfit("recipe", asked, RECIPES[kind])
        if settings.kind and settings.kind != self.task.kind:
            raise self._misfit("kind", settings.kind, (self.task.kind,))
        return asked or RECIPES[kind][0]

    def _refuse(self, settings: TuneSettings) -> None:
        """Raises InputError for what only a tuning from a base does."""
        if settings.label_errors != "keep":
            raise InputError("label errors are looked for where a base is tuned, not an earlier model", got=self.name,
                             remedy="Look at the new file with nanosmith check --deep.",
                             param="label_errors")  # fmt: skip
        if settings.oos_label is not None:
            raise InputError("what is out of scope is learnt where a base is tuned, not an earlier model",
                             got=self.name, param="oos_label", remedy="Leave --oos-label out.")  # fmt: skip

    def _misfit(self, param: str, got: str, allowed: tuple[str, ...]) -> InputError:
        return InputError(
            f"the model {self.name} cannot be trained further with this {param}", got=got, allowed=", ".join(allowed),
            remedy=f"Leave --{param} out, or tune a new model on the old and new examples.", param=param,
        )  # fmt: skip


def find_earlier(settings: TuneSettings, home: Home, ledger: Ledger | None = None) -> Earlier | None:
    """The model that `settings.base` names; see `_named`. Raises NotFound, Damaged, InputError (old examples without an
    earlier model)."""
    earlier = _named(settings.base, home, ledger)
    if settings.replay and not earlier:
        raise InputError("old examples go with an earlier model as the base", got=repr(settings.base),
                         remedy="Name it with --base.", param="replay")  # fmt: skip
    return earlier


def _named(base: str, home: Home, ledger: Ledger | None) -> Earlier | None:
    """The model of this folder, or of this name in the ledger (None: the home's); None where `base` is something else:
    a base of the catalogue, a base's folder, a hub name. Raises NotFound, Damaged."""
    if base and (Path(base) / MANIFEST_NAME).is_file():
        bundle = open_bundle(base)
        return Earlier(bundle.manifest.name, bundle)
    if base in catalogue() or Path(base).is_dir():
        return None
    rows = _models(home, ledger)
    if base in rows:
        return Earlier(base, open_bundle(home.bundles / rows[base].bundle))
    if "/" in base:
        return None
    raise NotFound(
        "no base or model of this name", got=repr(base),
        allowed=f"{', '.join(catalogue())}, the name of a model, a folder, or a hub name such as org/model",
        remedy=did_you_mean(base, [*rows, *catalogue()]), param="base",
    )  # fmt: skip


def _models(home: Home, ledger: Ledger | None) -> dict[str, ModelRow]:
    """The ledger's models by name; nothing is created where there is no ledger yet."""
    if ledger is not None:
        return {row.name: row for row in ledger.models()}
    if not home.has_ledger:
        return {}
    own = open_ledger(home)
    try:
        return {row.name: row for row in own.models()}
    finally:
        own.close()
