"""The contenders by name: each makes, from what bench/speed/make.py has left in a folder, a function that answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Answer = Callable[[Sequence[str]], list[str]]
MAX_TOKENS = 256


def ours(bundle: str) -> Answer:
    """A bundle of Nanosmith."""
    from nanosmith.predict.open import open_predictor

    predictor = open_predictor(bundle)
    return lambda texts: [str(one.value) for one in predictor.predict(list(texts))]


def onnxruntime(folder: str, precision: str) -> Answer:
    """The encoder as torch exports it, in float32 or quantised by quantize_dynamic; batches are padded."""
    import numpy as np
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(Path(folder) / f"{precision}.onnx"), options, providers=["CPUExecutionProvider"])
    labels, encode = _labels(folder), _tokenizer(folder)

    def answer(texts: Sequence[str]) -> list[str]:
        ids, mask = encode(texts)
        (logits,) = session.run(["logits"], {"input_ids": ids, "attention_mask": mask})
        return [labels[i] for i in np.argmax(logits, axis=1)]

    return answer


def openvino(folder: str) -> Answer:
    """The float32 graph, compiled by OpenVINO for latency."""
    import numpy as np
    import openvino as ov

    settings = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
    compiled = ov.Core().compile_model(str(Path(folder) / "fp32.onnx"), "CPU", settings)
    labels, encode = _labels(folder), _tokenizer(folder)
    requests = _PerThread(compiled.create_infer_request)

    def answer(texts: Sequence[str]) -> list[str]:
        ids, mask = encode(texts)
        found = requests.own().infer({"input_ids": ids, "attention_mask": mask})
        return [labels[i] for i in np.argmax(found["logits"], axis=1)]

    return answer


def torch_eager(folder: str) -> Answer:
    """The encoder and its head in torch, as transformers runs it."""
    import torch

    torch.set_num_threads(1)
    model = torch.load(Path(folder) / "torch.pt", weights_only=False).eval()
    labels, encode = _labels(folder), _tokenizer(folder)

    def answer(texts: Sequence[str]) -> list[str]:
        with torch.inference_mode():
            logits = model(*map(torch.from_numpy, encode(texts)))
        return [labels[i] for i in logits.argmax(dim=1).tolist()]

    return answer


def setfit(folder: str, base: str) -> Answer:
    """A sentence encoder and logistic regression on its vectors, which is what SetFit serves."""
    import pickle

    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    encoder = SentenceTransformer(base, device="cpu")
    head = pickle.loads((Path(folder) / "head.pickle").read_bytes())

    def answer(texts: Sequence[str]) -> list[str]:
        found: list[str] = head.predict(encoder.encode(list(texts), show_progress_bar=False)).tolist()
        return found

    return answer


def fasttext(folder: str) -> Answer:
    from fasttext import load_model

    model = load_model(str(Path(folder) / "fasttext.bin"))
    labels = _labels(folder)

    def answer(texts: Sequence[str]) -> list[str]:  # its Python layer does not go with numpy 2: the C++ object
        found = [model.f.predict(text.replace("\n", " ") + "\n", 1, 0.0, "strict")[0] for text in texts]
        return [labels[int(one[1].removeprefix("__label__"))] for one in found]

    return answer


def tfidf(folder: str) -> Answer:
    """scikit-learn's TfidfVectorizer and LogisticRegression."""
    import pickle

    model = pickle.loads((Path(folder) / "tfidf.pickle").read_bytes())

    def answer(texts: Sequence[str]) -> list[str]:
        found: list[str] = model.predict(list(texts)).tolist()
        return found

    return answer


class _PerThread:
    """One object for each thread."""

    def __init__(self, make: Callable[[], Any]) -> None:
        import threading

        self._make, self._local = make, threading.local()

    def own(self) -> Any:
        if not hasattr(self._local, "value"):
            self._local.value = self._make()
        return self._local.value


def _labels(folder: str) -> list[str]:
    return (Path(folder) / "labels.txt").read_text(encoding="utf-8").splitlines()


def _tokenizer(folder: str) -> Callable[[Sequence[str]], tuple[Any, Any]]:
    """Ids and mask (N, T) of texts, padded to the longest."""
    import numpy as np
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()

    def encode(texts: Sequence[str]) -> tuple[Any, Any]:
        rows = tokenizer.encode_batch(list(texts))
        ids = np.array([row.ids for row in rows], dtype=np.int64)
        return ids, np.array([row.attention_mask for row in rows], dtype=np.int64)

    return encode


CONTENDERS: dict[str, Callable[..., Answer]] = {
    "ours": ours, "onnxruntime": onnxruntime, "openvino": openvino, "torch": torch_eager, "setfit": setfit,
    "fasttext": fasttext, "tfidf": tfidf,
}  # fmt: skip
