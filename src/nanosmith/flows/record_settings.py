"""Which settings go with records."""

from __future__ import annotations

from nanosmith.core.errors import InputError
from nanosmith.core.settings import TuneSettings

RECIPE = "tune_record/1"


def check_record_settings(settings: TuneSettings) -> None:
    """Raises InputError for what records cannot be tuned with."""
    if settings.size not in ("auto", "nano"):
        raise InputError("records are not tuned in this size", got=settings.size, allowed="auto, nano", param="size",
                         remedy="A record is read by an encoder: take nano, or leave the size out.")  # fmt: skip
    if settings.recipe not in (None, RECIPE, RECIPE.partition("/")[0]):
        raise InputError("this recipe does not make records", got=settings.recipe, allowed=RECIPE, param="recipe",
                         remedy="Leave the recipe out.")  # fmt: skip
    for name, asked in (("combined", settings.combined), ("oos_label", settings.oos_label is not None),
                        ("label_errors", settings.label_errors != "keep")):  # fmt: skip
        if asked:
            raise InputError("records have no labels for this", got=name, allowed="tasks of kind choice or labels",
                             remedy="Leave it out.", param=name)  # fmt: skip
