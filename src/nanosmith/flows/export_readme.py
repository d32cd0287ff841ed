"""The README of an exported folder: what it is, how it is used, and what was found by running it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nanosmith.flows.export_check import CHECK_FILE, INSTALL, Check
from nanosmith.store.bundles import Bundle
from nanosmith.version import __version__

if TYPE_CHECKING:
    from nanosmith.recipes.exports.written import Written

PIP = {
    "onnx": "onnxruntime tokenizers numpy",
    "openvino": "openvino tokenizers numpy",
    "coreml": "coremltools tokenizers numpy",
    "litert": "ai-edge-litert tokenizers numpy",
    "gguf": "gguf torch transformers tokenizers jinja2",
}
IN_NODE = f"""
In Node:

    {INSTALL}
    node example.mjs "a text"
    node example.mjs --check {CHECK_FILE}

In a browser: serve this folder after `{INSTALL}`, such as with `python -m http.server`, and open index.html. The page
loads nothing from elsewhere, and no text leaves the browser.
"""


def readme(bundle: Bundle, target: str, written: Written, checks: Sequence[Check]) -> str:
    manifest = bundle.manifest
    parts = [
        f"# {manifest.name}, for {target}\n",
        f"Exported by nanosmith {__version__} from the bundle {manifest.name} (runtime {manifest.predictor}, model"
        f" digest {manifest.model_digest}).\n",
    ]
    if written.operators:
        named = ", ".join(f"{domain} {version}" for domain, version in written.operators.items())
        parts.append(f"Operators: {named}.\n")
    parts += [f"{note}\n" for note in written.notes]
    parts.append(_usage(target))
    parts.append("## What was found by running it\n")
    parts.append("".join(f"- {sentence(check)}\n" for check in checks))
    parts.append(f"\n{CHECK_FILE} has the texts, with the bundle's own answers and probabilities.\n")
    return "\n".join(parts)


def sentence(check: Check) -> str:
    """One line about a check."""
    if not check.ran:
        return f"{check.runtime}: not run. {check.why}."
    same = f"{check.same_answer:,} of {check.texts:,} answers are the bundle's"
    if check.max_probability_difference is None:
        return f"{check.runtime}: {same}."
    return f"{check.runtime}: {same}; probabilities differ by at most {check.max_probability_difference:.1e}."


def _usage(target: str) -> str:
    lines = f"""## Use

    pip install {PIP[target]}
    python example.py "a text"
    python example.py --check {CHECK_FILE}
"""
    return lines + (IN_NODE if target == "onnx" else "")
