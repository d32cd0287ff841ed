"""Answers with an exported model. Needs numpy, tokenizers and the runtime of the model; Nanosmith is not needed.

    python example.py "a text" …           one JSON object per text
    python example.py --check check.jsonl  compares with the answers that the model gave before its export
    python example.py --file texts.jsonl   one JSON object per line, for lines {"text": …}

model.json says how a text is read and what the scores mean; tokenizer.json is for Hugging Face's `tokenizers`.
Letters: T tokens, D width, L labels, U units.
"""

import json
import math
import re
import sys
from bisect import bisect_right
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
CHARS_PER_TOKEN = 24  # that are read of a text


# --- runtimes: each gives a function from named int64 arrays (1, T) to named arrays ---


def open_onnx(path, form):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [out.name for out in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, inputs)))


def open_openvino(path, form):
    import openvino

    # An OpenVINO CPU plugin may else choose bfloat16.
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    names = [out.get_any_name() for out in model.outputs]

    def run(inputs):
        found = model(inputs)
        return {name: found[i] for i, name in enumerate(names)}

    return run


def open_coreml(path, form):
    import coremltools  # predicts on macOS alone

    model = coremltools.models.MLModel(str(path), compute_units=coremltools.ComputeUnit.CPU_ONLY)
    return lambda inputs: model.predict({name: value.astype(np.int32) for name, value in inputs.items()})


def open_litert(path, form):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    runners = {length: interpreter.get_signature_runner(f"tokens_{length}") for length in form["lengths"]}

    def run(inputs):
        """The graphs have one length each: texts are padded."""
        tokens = inputs["input_ids"].shape[1]
        length = min(n for n in runners if n >= tokens)
        ids = np.full((1, length), form["pad_id"], dtype=np.int32)
        ids[:, :tokens] = inputs["input_ids"]
        given = {**inputs, "input_ids": ids, "mask": (np.arange(length) < tokens)[None].astype(np.float32)}
        found = runners[length](**{f"args_{i}": given[name] for i, name in enumerate(form["inputs"])})
        return {name: found[f"output_{i}"] for i, name in enumerate(form["outputs"])}

    return run


OPENERS = {"onnx": open_onnx, "openvino": open_openvino, "coreml": open_coreml, "litert": open_litert}


# --- reading: misspelled words, then tokens ---

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
SHORTEST, LONGEST, SURE, MOST_CORRECTED, RARE, EVIDENCE, NEIGHBOUR, FIRST_LETTER = 2, 20, 4, 8, 10, 3, 1.5, 0.7


class Speller:
    """Reads a word that the training texts do not have as one of theirs that is one edit away."""

    def __init__(self, lines, vocabulary):
        self.counts = {name: int(count) for name, count in (line.rsplit(" ", 1) for line in lines)}
        self.vocabulary = vocabulary

    @classmethod
    def of(cls, form, vocabulary):
        """That of the folder, or None."""
        if not form["spelling"]:
            return None
        return cls((HERE / "spelling.txt").read_text(encoding="utf-8").splitlines(), vocabulary)

    def read(self, text):
        parts, end, looked_at = [], 0, 0
        spans = [match.span() for match in WORD.finditer(text)]
        words = ["^", *(text[a:b].lower().replace("’", "'") for a, b in spans), "$"]
        for place, span in enumerate(spans):
            around = words[place : place + 3]
            if span[0] < end or not SHORTEST <= len(around[1]) <= LONGEST or not self.is_odd(*around):
                continue
            looked_at += 1
            if looked_at > MOST_CORRECTED:
                break
            word, stop = self.correction(text, span, *around)
            if word:
                parts += [text[end : span[0]], word]
                end = stop
        return "".join([*parts, text[end:]])

    def correction(self, text, span, left, word, right):
        whole = word + right
        apart = self.counts.get(f"{word} {right}") or (word in self.counts and right in self.counts)
        if whole in self.counts and not apart and text[span[1] : span[1] + 1] == " ":
            return whole, span[1] + 1 + len(right)
        return self.nearest(left, word, right) or self.two_words(word), span[1]

    def is_odd(self, left, word, right):
        known = self.counts.get(word)
        return known is None or (known <= RARE and not any(self.beside(left, word, right)))

    def beside(self, left, word, right):
        return self.counts.get(f"{left} {word}", 0), self.counts.get(f"{word} {right}", 0)

    def nearest(self, left, word, right):
        near = {other for other in edits(word) if other in self.counts and other != word}

        def likely(other):
            pairs = sum(math.log(1 + pair) for pair in self.beside(left, other, right))
            return math.log(self.counts[other]) + NEIGHBOUR * pairs + FIRST_LETTER * (other[0] == word[0]), other

        best = max(near, key=likely, default=None)
        return best if best and self.may_replace(best, left, word, right) else None

    def may_replace(self, other, left, word, right):
        beside = self.beside(left, other, right)
        if word in self.counts or self.is_known(word):
            return min(beside) >= EVIDENCE
        return len(word) >= SURE or sum(beside) >= EVIDENCE

    def two_words(self, word):
        if word in self.counts or self.is_known(word):
            return None
        cuts = [f"{word[:i]} {word[i:]}" for i in range(1, len(word))]
        return max((pair for pair in cuts if pair in self.counts), key=self.counts.__getitem__, default=None)

    def is_known(self, word):
        return all(any(start + part in self.vocabulary for start in ("", "Ġ", "▁")) for part in word.split("'"))


def edits(word):
    """All words one edit away, with a letter less, other or more, or two swapped."""
    cuts = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    for left, right in cuts:
        yield from (left + letter + right for letter in (*LETTERS, "'"))
        if right:
            yield left + right[1:]
            yield from (left + letter + right[1:] for letter in LETTERS)
        if len(right) > 1:
            yield left + right[1] + right[0] + right[2:]


def readable(text, max_tokens):
    return text[: max_tokens * CHARS_PER_TOKEN].encode("utf-8", "replace").decode()


class TokenReader:
    """From a text to the inputs of the graph: ids of tokens."""

    def __init__(self, form):
        from tokenizers import Tokenizer

        self.form = form
        self.tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.speller = Speller.of(form, self.tokenizer.get_vocab())

    def inputs(self, text):
        most, special = self.form["max_tokens"], self.form["special_tokens"]
        text = readable(text, most)
        text = self.speller.read(text) if self.speller else text
        ids = self.tokenizer.encode(text, add_special_tokens=special).ids
        if len(ids) > most:
            end = ids[-1:] if special else []
            ids = ids[: most - len(end)] + end
        return {"input_ids": np.array([ids or [self.form["empty_id"]]], dtype=np.int64)}


# --- from scores to an answer ---


def answer(form, logits, far):
    """The object that is printed, of logits (L) and of the raw score of "none of these" (None where there is none)."""
    scale, labels = form["calibration"], form["labels"]
    scores = [float(score) / scale["temperature"] for score in logits]
    if form["kind"] == "choice":
        powers = [math.exp(score - max(scores)) for score in scores]
        p = [power / sum(powers) for power in powers]
        value = labels[p.index(max(p))]
        confidence = max(p)
    else:
        p = [0.5 * (1 + math.tanh(0.5 * score)) for score in scores]
        taken = reached(p, scale)
        value = [label for label, chosen in zip(labels, taken) if chosen]
        confidence = math.prod(q if chosen else 1 - q for q, chosen in zip(p, taken))
        if scale["at_least_one"]:
            confidence = min(1.0, confidence / max(1e-12, 1 - math.prod(1 - q for q in p)))
    found = {"answer": value, "confidence": confidence if scale["examples"] else None}
    if far is not None:
        found["out_of_scope"] = out_of_scope(form["scope"], far)
        if found["out_of_scope"] >= 0.5 and form["scope"]["label"] is not None:
            found["answer"] = form["scope"]["label"]
    return {**found, "probabilities": dict(zip(labels, p))}


def reached(p, scale):
    """Which labels have a probability of their threshold and more, or the nearest where there must be one."""
    thresholds = scale["thresholds"] or [0.5] * len(p)
    chosen = [q >= threshold for q, threshold in zip(p, thresholds)]
    if scale["at_least_one"] and chosen and not any(chosen):
        ratios = [q / threshold for q, threshold in zip(p, thresholds)]
        chosen[ratios.index(max(ratios))] = True
    return chosen


def out_of_scope(scope, raw):
    """A figure in [0, 1] from the raw score; from 0.5 on the text is about none of the labels."""
    above = share_above(raw, scope["quantiles"], scope["examples"])
    refuse = scope["refuse"]
    return 1 - 0.5 * above / refuse if above <= refuse else 0.5 * (1 - above) / (1 - refuse)


def share_above(raw, quantiles, examples):
    least = 1 / (examples + 2)
    width = max(quantiles[-1] - quantiles[0], 1e-9) / 4
    if raw >= quantiles[-1]:
        return least * math.exp((quantiles[-1] - raw) / width)
    if raw < quantiles[0]:
        return 1 - least * math.exp((raw - quantiles[0]) / width)
    place = bisect_right(quantiles, raw) - 1
    low, high = quantiles[place], quantiles[place + 1]
    below = (place + (raw - low) / (high - low)) / (len(quantiles) - 1)
    return least + (1 - 2 * least) * (1 - below)


class Labels:
    """One label, or several, from the logits of the graph."""

    Reader = TokenReader

    def __init__(self, form, run):
        self.form, self.run = form, run
        self.reader = self.Reader(form)

    def __call__(self, text):
        found = self.run(self.reader.inputs(text))
        logits = self.logits(found)
        return answer(self.form, logits, float(found["far"][0, 0]) if "far" in found else None)

    def logits(self, found):
        return found["logits"][0]


class Segments(Labels):
    """The labels of the one query, or the two or three, that a text is taken apart into: of all ways to do so that the
    tags allow, the likeliest by tags and labels together. `tags` (T, 3) are outside, begin, inside."""

    def logits(self, found):
        tags, whole = log_softmax(found["tags"][0])[1:-1], log_softmax(found["logits"])
        logs = self.segments(tags, whole, found["tokens"][0, 1:-1], found["token_scores"][0, 1:-1])
        return margins(logs).max(axis=0)

    def segments(self, tags, whole, tokens, scores):
        """Log-probabilities (S, L) of the segments; `tokens` (T, D), and their `scores` (T, L) before the bias."""
        said = self.form["segments"]
        if len(tags) < 2 or np.partition(tags[:, 1], -2)[-2] < said["sure"]:
            return whole
        starts = np.sort(np.argsort(-tags[:, 1], kind="stable")[: said["starts"]]).tolist()
        ways = {pair: self.segment(tags, tokens, scores, *pair) for pair in combinations([*starts, len(tags)], 2)}
        outside, weight = np.concatenate([[0.0], np.cumsum(tags[:, 0])]), said["label_weight"]
        alone = max(outside[start] + ways[start, len(tags)][0] for start in starts)
        best, chosen = alone + weight * whole.max(), None
        for count in range(2, said["most"] + 1):
            for way in combinations(starts, count):
                parts = [ways[pair] for pair in zip(way, (*way[1:], len(tags)))]
                total = outside[way[0]] + sum(score + weight * logs.max() for score, logs in parts)
                if total > best:
                    best, chosen = total, [logs for _, logs in parts]
        return whole if chosen is None else np.stack(chosen)

    def segment(self, tags, tokens, scores, start, following):
        """Of a query that begins at `start`, with the next one at `following`: the log-probability of its tags with
        its best end, and those of its labels (L), which are of the direction of the mean of its tokens."""
        ends = np.cumsum(tags[start + 1 : following, 2])
        ends = np.concatenate([[0.0], ends]) - np.concatenate([[0.0], np.cumsum(tags[start + 1 : following, 0])])
        end = start + 1 + int(ends.argmax())
        score = tags[start, 1] + tags[start + 1 : end, 2].sum() + tags[end:following, 0].sum()
        length = np.linalg.norm(tokens[start:end].astype(np.float64).mean(axis=0))
        mean = scores[start:end].astype(np.float64).mean(axis=0)
        return score, log_softmax((mean / max(length, 1e-9) + np.array(self.form["segments"]["bias"]))[None])[0]


def log_softmax(scores):
    shifted = scores - scores.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def margins(logs):
    """Of log-probabilities (S, L): each label's less that of the best other one."""
    if logs.shape[1] < 2:
        return logs - np.log1p(-np.exp(np.minimum(logs, -1e-6)))
    top = np.sort(logs, axis=1)
    return np.where(logs == top[:, -1:], logs - top[:, -2:-1], logs - top[:, -1:])


class WordReader:
    """From a text to the numbers of its words, pairs of neighbouring words, and n-grams, of vocabulary.json."""

    def __init__(self, form):
        self.form = form
        known = json.loads((HERE / "vocabulary.json").read_text(encoding="utf-8"))
        self.words = {word: i for i, word in enumerate(known["words"])}
        self.pairs = {pair: len(self.words) + i for i, pair in enumerate(form["pairs"])}
        first = len(self.words) + len(self.pairs)
        self.grams = {gram: first + i for i, gram in enumerate(known["grams"])}
        self.word = re.compile(form["word_pattern"])
        self.speller = Speller.of(form, self.words)

    def inputs(self, text):
        most, nothing = self.form["max_tokens"], self.form["empty_id"]
        text = readable(text, most)
        words = [word.lower() for word in self.word.findall(self.speller.read(text) if self.speller else text)[:most]]
        numbers = [self.words.get(word, -1) for word in words]
        pairs = (a * len(self.words) + b for a, b in pairwise(numbers) if min(a, b) >= 0)
        spoken = [n for n in numbers if n >= 0] + [self.pairs[pair] for pair in pairs if pair in self.pairs]
        every = (gram for word in words for gram in grams(word, self.form["gram_lengths"]))
        given = {"words": spoken, "grams": [self.grams[gram] for gram in every if gram in self.grams]}
        return {name: np.array([ids or [nothing]], dtype=np.int64) for name, ids in given.items()}


class Words(Labels):
    Reader = WordReader


def grams(word, lengths):
    padded = f" {word} "
    return [padded[i : i + n] for n in lengths for i in range(len(padded) - n + 1)]


MODELS = {"static/1": Labels, "encoder/1": Labels, "segments/1": Segments, "tfidf/1": Words}


def open_model(folder=HERE):
    """A function from a text to its answer."""
    form = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    return MODELS[form["predictor"]](form, OPENERS[form["target"]](folder / form["graph"], form))


def check(model, file):
    """How many answers are those of check.jsonl, and by how much probabilities differ at most."""
    texts = same = 0
    far = 0.0
    for line in file.read_text(encoding="utf-8").splitlines():
        wanted = json.loads(line)
        found = model(wanted["text"])
        texts, same = texts + 1, same + (found["answer"] == wanted["answer"])
        far = max([far, *(abs(p - q) for p, q in zip(found["probabilities"].values(), wanted["probabilities"]))])
    return {"texts": texts, "same_answer": same, "max_probability_difference": far}


def main(arguments):
    model = open_model()
    if arguments[:1] == ["--check"]:
        print(json.dumps(check(model, Path(arguments[1]))))
        return
    if arguments[:1] == ["--file"]:
        arguments = [json.loads(line)["text"] for line in Path(arguments[1]).read_text(encoding="utf-8").splitlines()]
    for text in arguments:
        print(json.dumps(model(text), ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
