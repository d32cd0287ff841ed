"""Bases that write: found and opened for training, and sealed for the runtime once per base and precision."""

from __future__ import annotations

import shutil
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from nanosmith.core.errors import MissingExtra, NanosmithError
from nanosmith.core.manifest import BaseRef, Calibration, DataRef, Manifest
from nanosmith.core.settings import TuneSettings
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch
from nanosmith.predict.decoder import base_name
from nanosmith.store.atomic import disk_errors, part_prefix
from nanosmith.store.bundles import Bundle, open_bundle, read_manifest, seal
from nanosmith.store.home import Home
from nanosmith.version import __version__

if TYPE_CHECKING:
    from nanosmith.recipes.parts.decoder import Decoder

DEFAULT = "smollm2-135m"
PRECISION: Literal["int8"] = "int8"
MODULES = ("peft", "onnxruntime_genai")


def open_decoder(settings: TuneSettings, home: Home) -> Decoder:
    """The decoder that the settings name; DEFAULT where they name the encoder that is taken when nothing is said.

    Raises MissingExtra, NotFound, InputError, Damaged.
    """
    for module in MODULES:
        if find_spec(module) is None:
            raise MissingExtra(module, "train")
    from nanosmith.recipes.base_folder import find_decoder
    from nanosmith.recipes.parts.decoder import Decoder

    name = DEFAULT if settings.base == TuneSettings().base else settings.base
    return Decoder(find_decoder(name, home.cache))


def writing(settings: TuneSettings, home: Home, out: Path | None, watch: Watch) -> Decoder:
    """The decoder with its base for the runtime, which is copied into models that go elsewhere than into the home."""
    decoder = open_decoder(settings, home)
    decoder.served = served(decoder, home, watch)
    decoder.is_copied = out is not None and out.resolve().parent != home.bundles.resolve()
    return decoder


def served(decoder: Decoder, home: Home, watch: Watch) -> Bundle:
    """The decoder's base as a bundle beside the models on it; made where it is not there yet."""
    known = (_opened(folder, decoder) for folder in sorted(home.bundles.glob(base_name("*"))))
    return next((bundle for bundle in known if bundle), None) or _made(decoder, home, watch)


def _opened(folder: Path, decoder: Decoder) -> Bundle | None:
    """The bundle, where it is whole and of this base."""
    try:
        manifest = read_manifest(folder)
        fits = manifest.base.sha256 == decoder.folder.sha256 and manifest.notes.get("precision") == PRECISION
        return open_bundle(folder) if fits else None
    except NanosmithError:
        return None


def _made(decoder: Decoder, home: Home, watch: Watch) -> Bundle:
    from nanosmith.recipes.parts.decoder_export import write_base

    watch.message(f"The base {decoder.folder.name} is written for the runtime once, in {PRECISION}.")
    began_s = time.monotonic()
    home.bundles.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.bundles, prefix=part_prefix()) as made:
        draft, first = Path(made) / "draft", Path(made) / "sealed"
        with disk_errors(draft):
            write_base(decoder.folder.path, draft, PRECISION)
        seconds = round(time.monotonic() - began_s, 1)
        digest = seal(draft, _manifest(decoder, seconds), first).manifest.model_digest
        place = home.bundles / base_name(digest)
        try:
            first.rename(place)
        except OSError:  # another process was faster, or what lies there is damaged
            if _opened(place, decoder) is None:
                shutil.rmtree(place)
                first.rename(place)
    return open_bundle(place)


def _manifest(decoder: Decoder, seconds: float) -> Manifest:
    folder = decoder.folder
    return Manifest(
        name=folder.name, created_at=int(time.time()), predictor="decoder/1", recipe="base/1", task=Task("text"),
        max_tokens=decoder.max_tokens, base=BaseRef(folder.name, folder.sha256), data=DataRef("0" * 64, 0, 0),
        calibration=Calibration(), settings={}, notes={"precision": PRECISION, "seconds": seconds}, files={},
        nanosmith=__version__,
    )  # fmt: skip
