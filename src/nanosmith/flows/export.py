"""The story of an export: a bundle's graph → the format of another runtime → examples beside it → run and compared.

The folder appears whole or not at all. What could be run here is run on the same texts as the bundle, through the
example that is delivered; what could not says so (docs/export.md).
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import msgspec

from nanosmith.core.errors import InputError, MissingExtra
from nanosmith.core.example import Input
from nanosmith.core.watch import Watch
from nanosmith.flows.export_check import Check, run_checks, write_answers
from nanosmith.flows.export_readme import readme
from nanosmith.flows.export_texts import sample_inputs
from nanosmith.predict.graph_session import OnnxSession
from nanosmith.predict.open import open_predictor
from nanosmith.store.atomic import disk_errors, make_folders, part_prefix, sync_folder
from nanosmith.store.bundles import Bundle, open_bundle, sync_tree
from nanosmith.store.home import Home, open_home

Target: TypeAlias = Literal["onnx", "openvino", "coreml", "litert", "gguf"]
TARGETS: tuple[Target, ...] = get_args(Target)
GRAPHS: tuple[Target, ...] = ("onnx", "openvino", "coreml", "litert")
TARGETS_OF: dict[str, tuple[Target, ...]] = {
    "static/1": GRAPHS,
    "encoder/1": GRAPHS,
    "segments/1": GRAPHS,
    "tfidf/1": ("onnx",),
    "decoder/1": ("gguf",),
}
"""By the runtime of a bundle."""
WITHOUT_TARGET = {
    "record/1": "What its graph finds becomes a record in Nanosmith alone: serve it here, or call it over HTTP.",
    "cascade/1": "Export its two parts.",
}
"""What to do with bundles that have no target."""
NEEDED: dict[Target, dict[str, str]] = {
    "onnx": {"onnx": "train"},
    "openvino": {"onnx": "train", "openvino": "openvino"},
    "coreml": {"torch": "train", "coremltools": "coreml"},
    "litert": {"torch": "train", "litert_torch": "litert", "ai_edge_litert": "litert"},
    "gguf": {"torch": "train", "gguf": "train"},
}
"""The modules of each target, with the extra that installs them."""
CHECKED, CHECKED_TEXTS = 500, 20  # inputs that are compared, at most; fewer where each answer is a text
ONNX_RUNTIME = OnnxSession.engine
README_FILE = "README.md"


class Exported(msgspec.Struct, frozen=True):
    """What was written: `files` by name with their bytes; `operators` by domain with their version (none for GGUF);
    `notes` worth a person's while; what was found by running it."""

    target: Target
    bundle: str
    out: str
    files: dict[str, int]
    operators: dict[str, int]
    notes: tuple[str, ...]
    checks: tuple[Check, ...]


def export(
    bundle: Path, target: str, out: Path, *, inputs: Sequence[Input] = (), portable: bool = False,
    watch: Watch | None = None, home: Home | None = None,
) -> Exported:  # fmt: skip
    """Write `bundle` for `target` into the new folder `out`, and run it there on `inputs` (none: texts made of the
    bundle's own words). `portable` keeps ONNX to standard operators; so it is too where the kernel of our own answers
    here, whose arithmetic needs them. Raises NotFound, Damaged, InputError, MissingExtra, Cancelled."""
    watch = watch or Watch()
    sealed = open_bundle(bundle)
    wanted = checked_target(sealed, target)
    if portable and wanted != "onnx":
        raise InputError("only ONNX has operators to choose from", got=wanted, allowed="onnx", param="portable",
                         remedy="Leave --portable out.")  # fmt: skip
    _require(wanted)
    with _new_folder(out) as draft:
        from nanosmith.recipes.exports.writers import write

        watch.progress(f"write {wanted}", 0, 1)
        predictor = open_predictor(sealed)
        by_rows = portable or getattr(predictor, "engine", ONNX_RUNTIME) != ONNX_RUNTIME
        written = write(wanted, sealed, draft, cache=(home or open_home()).cache, portable=by_rows)
        watch.progress(f"write {wanted}", 1, 1)
        most = CHECKED if wanted in GRAPHS else CHECKED_TEXTS
        write_answers(predictor, list(inputs[:most]) or sample_inputs(sealed), draft, watch)
        checks = run_checks(wanted, draft, watch)
        (draft / README_FILE).write_text(readme(sealed, wanted, written, checks), encoding="utf-8")
    files = {path.relative_to(out).as_posix(): path.stat().st_size for path in sorted(out.rglob("*")) if path.is_file()}
    return Exported(wanted, str(bundle), str(out.resolve()), files, written.operators, written.notes, checks)


def checked_target(bundle: Bundle, target: str) -> Target:
    """Raises InputError where nothing is called so, or the bundle cannot become it."""
    runtime = bundle.manifest.predictor
    allowed = TARGETS_OF.get(runtime, ())
    known: Target | None = next((one for one in TARGETS if one == target), None)
    if known is None or known not in allowed:
        what = "there is no such target" if known is None else "this bundle cannot be exported so"
        raise InputError(what, where=str(bundle.path), got=target, param="to", remedy=WITHOUT_TARGET.get(runtime),
                         allowed=f"of a bundle of {runtime}: {', '.join(allowed) or 'nothing'}")  # fmt: skip
    return known


def _require(target: Target) -> None:
    """Raises MissingExtra."""
    for module, extra in NEEDED[target].items():
        if find_spec(module) is None:
            raise MissingExtra(module, extra)


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder that becomes `out` when the block ends without an error. Raises InputError, StorageFull."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError("there is something already", where=str(out), allowed="a new or an empty folder",
                         remedy="Name another with --out.", param="out")  # fmt: skip
    make_folders(out.absolute().parent)
    with disk_errors(out), tempfile.TemporaryDirectory(dir=out.absolute().parent, prefix=part_prefix()) as made:
        draft = Path(made) / "export"
        draft.mkdir()
        yield draft
        shutil.rmtree(draft / "__pycache__", ignore_errors=True)
        sync_tree(draft)
        draft.replace(out)
        sync_folder(out.absolute().parent)
