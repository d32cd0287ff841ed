"""An explanation on a terminal: the words that weigh most with their values, and the text in colours."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from nanosmith.core.explanation import Explanation, LabelExplanation

TOP = 6  # words named with their values
FAINT = 0.08  # share of the largest value under which a word stays plain
FOR, AGAINST = (46, 160, 67), (218, 54, 51)


def show(found: Explanation, console: Console | None = None) -> None:
    """Per label a line with words and their log-odds; on a terminal also the text in colours: green spoke for the
    label, red against it."""
    console = console or Console(highlight=False)
    for label in found.labels:
        console.print(Text(f"  {label.label}: {label.summary(TOP) or 'no word was read'}"), soft_wrap=True)
        if console.is_terminal:
            console.print(Text("  ") + coloured(found.text, label), soft_wrap=True)


def coloured(text: str, label: LabelExplanation) -> Text:
    """The text with a background for each word, the stronger the larger its value."""
    shown = Text("".join(char if char.isprintable() else " " for char in text))
    largest = max((abs(word.value) for word in label.words), default=0.0)
    for word in label.words:
        share = abs(word.value) / largest if largest else 0.0
        if share >= FAINT:
            shown.stylize(_style(FOR if word.value > 0 else AGAINST, share), word.start, word.end)
    return shown


def _style(colour: tuple[int, int, int], share: float) -> str:
    """Black on the colour, mixed with white where the value is small."""
    mixed = (round(255 + (part - 255) * share) for part in colour)
    return f"black on rgb({','.join(map(str, mixed))})"
