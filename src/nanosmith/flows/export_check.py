"""An exported model, run through its own example on texts whose answers the bundle gave."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.errors import NanosmithError
from nanosmith.core.example import Input, as_messages
from nanosmith.core.prediction import Prediction, Predictor
from nanosmith.core.task import Task
from nanosmith.core.watch import Watch

CHECK_FILE = "check.jsonl"
TIME_S = 1_800
PYTHON = {"onnx": "onnxruntime in Python", "openvino": "OpenVINO in Python", "litert": "LiteRT in Python",
          "gguf": "transformers in Python"}  # fmt: skip
NODE = ("onnxruntime-node", "onnxruntime-web")
INSTALL = "npm install --ignore-scripts"
NO_LLAMA = "Nanosmith does not call it; try: llama-cli -m model.gguf"
NOT_HERE = {
    "coreml": "Core ML runs on macOS alone; the conversion was done here, the model was not run",
}


class Check(msgspec.Struct, frozen=True):
    """`same_answer` of so many `texts` had the bundle's answer, and no probability was further away than
    `max_probability_difference`; where it was not `ran`, `why`."""

    runtime: str
    ran: bool
    texts: int = 0
    same_answer: int = 0
    max_probability_difference: float | None = None
    why: str | None = None


def write_answers(predictor: Predictor, inputs: Sequence[Input], folder: Path, watch: Watch) -> None:
    """The bundle's own answers to `inputs`, one JSON object per line."""
    rows = []
    for done, given in enumerate(inputs, start=1):
        found = predictor.predict([given])[0]
        rows.append(_row(predictor.task, given, found))
        watch.progress("answer with the bundle", done, len(inputs))
        watch.check()
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (folder / CHECK_FILE).write_text("".join(lines), encoding="utf-8", errors="replace")


def _row(task: Task, given: Input, found: Prediction) -> dict[str, Any]:
    """What an example is asked, and what it shall answer."""
    if isinstance(found.value, str) and task.kind in ("text", "record"):
        messages = [{"role": turn.role, "content": turn.content} for turn in as_messages(given)]
        return {"messages": messages, "answer": found.value}
    probabilities = [round(p, 7) for p in found.probabilities]
    return {"text": task.text_of(given), "answer": found.answer, "probabilities": probabilities}


def run_checks(target: str, folder: Path, watch: Watch) -> tuple[Check, ...]:
    """One for each runtime that there is an example for. Raises NanosmithError where an example fails."""
    if target in NOT_HERE:
        return (Check(target, ran=False, why=NOT_HERE[target]),)
    checks = [_ran(PYTHON[target], [sys.executable, "-I", "example.py"], folder, watch)]
    if target == "onnx":
        checks += [_in_node(name, folder, watch) for name in NODE]
    if target == "gguf":
        checks.append(Check("llama.cpp", ran=False, why=NO_LLAMA))
    return tuple(checks)


def _in_node(name: str, folder: Path, watch: Watch) -> Check:
    """Node finds packages in `node_modules` of the folder and of those above it."""
    node = shutil.which("node")
    if node is None:
        return Check(f"{name} in Node", ran=False, why="node is not installed here")
    missing = [one for one in (name, "@huggingface/tokenizers") if not _is_installed(one, folder)]
    if missing:
        why = f"no {' and no '.join(missing)} here; in the folder: {INSTALL} && node example.mjs --check {CHECK_FILE}"
        return Check(f"{name} in Node", ran=False, why=why)
    return _ran(f"{name} in Node", [node, "example.mjs"], folder, watch, RUNTIME=name)


def _is_installed(name: str, folder: Path) -> bool:
    return any((above / "node_modules" / name / "package.json").is_file() for above in (folder, *folder.parents))


def _ran(runtime: str, command: list[str], folder: Path, watch: Watch, **environment: str) -> Check:
    watch.progress(f"run {runtime}", 0, 1)
    try:
        done = subprocess.run(
            [*command, "--check", CHECK_FILE], cwd=folder, capture_output=True, text=True, encoding="utf-8",
            timeout=TIME_S, env={**os.environ, **environment}, check=True,
        )  # fmt: skip
        found = msgspec.json.decode(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, IndexError, msgspec.DecodeError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise NanosmithError(f"the exported model does not run with {runtime}", got=said[-1] if said else None,
                             remedy="Nothing was written.") from error  # fmt: skip
    watch.progress(f"run {runtime}", 1, 1)
    return msgspec.convert({"runtime": runtime, "ran": True, **found}, Check)
