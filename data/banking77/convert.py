"""Write BANKING77 in the OpenAI chat format.

    python convert.py SOURCE OUT

SOURCE is the original CSV (header `text,category`) or JSONL with `text` and `label` on each line. OUT gets one
conversation per example, in the order of the source: system prompt, the customer's text, the intent. Nothing else is
changed; rows are neither added nor removed.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

SYSTEM = "Classify the customer's message into one of the bank's intents."


def examples(source: Path) -> Iterator[tuple[str, str]]:
    """(text, intent) of each row."""
    with source.open(encoding="utf-8", newline="") as file:
        if source.suffix == ".csv":
            yield from ((row["text"], row["category"]) for row in csv.DictReader(file))
        else:
            yield from ((row["text"], row["label"]) for row in map(json.loads, file))


def conversation(text: str, intent: str) -> str:
    """One line of the chat format."""
    messages = [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": text},
        {"role": "assistant", "content": intent},
    ]
    return json.dumps({"messages": messages}, ensure_ascii=False) + "\n"


def main(source: Path, out: Path) -> None:
    with out.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(conversation(text, intent) for text, intent in examples(source))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
