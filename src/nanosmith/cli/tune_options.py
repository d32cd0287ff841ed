"""The options of `nanosmith tune`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

Train = Annotated[Path, typer.Argument(help="Training examples: JSONL of chats, rows or preferences, CSV, text.")]
Test = Annotated[Path | None, typer.Option(help="Held-out examples for the report; none: some of TRAIN are held out.")]
Size = Annotated[
    Literal["auto", "pico", "nano", "mini"], typer.Option(help="How large a model; auto tries and chooses.")
]
Budget = Annotated[str | None, typer.Option(help="Time for the whole run, such as 5m; none: no bound.")]
Seed = Annotated[int, typer.Option(min=0, help="The same seed and data give the same model.")]
Recipe = Annotated[str | None, typer.Option(help="Use this recipe instead of choosing.")]
Kind = Annotated[
    Literal["choice", "labels", "record", "text"] | None,
    typer.Option(help="Kind of answer; none: recognised from the examples."),
]
Schema = Annotated[
    Path | None, typer.Option(help="JSON schema of the answers, which are records; none: from the examples.")
]
Combined = Annotated[
    bool, typer.Option("--combined", help="Also recognise queries that join two or three of the labels.")
]
OosLabel = Annotated[
    str | None, typer.Option(help="Label of examples of none of the others; it is then answered out of scope.")
]
Refuse = Annotated[
    float, typer.Option(help="Share of in-scope queries that may be taken for out of scope, above 0, below 1.")
]
Base = Annotated[
    str | None, typer.Option(help="Weights to start from: a base's name or folder, or an earlier model's.")
]
Replay = Annotated[
    Path | None, typer.Option(help="With an earlier model as base: its old examples, where they were not kept.")
]
KeepExamples = Annotated[
    bool, typer.Option(help="Keep the examples in the data folder, so that the model can be retrained.")
]
LabelErrors = Annotated[
    Literal["keep", "drop", "downweight"], typer.Option(help="What becomes of examples with likely wrong labels.")
]
Noise = Annotated[
    bool | None,
    typer.Option(help="Learn and correct misspellings; none: where that costs no accuracy on clean text."),
]
Method = Annotated[
    Literal["supervised", "dpo", "domain"] | None,
    typer.Option(help="Texts: learn answers, preferences, or plain text of a domain; none: as the file's form says."),
]
Beta = Annotated[float | None, typer.Option(min=0, help="With dpo: how closely the base is kept to; none: 0.1.")]
General = Annotated[
    Path | None, typer.Option(help="Texts: examples of general instructions, mixed in so that less is forgotten.")
]
Epochs = Annotated[int | None, typer.Option(min=1, help="Passes over the data; none: chosen.")]
Name = Annotated[str | None, typer.Option(help="Name of the model; none: made from the file's name.")]
Out = Annotated[Path | None, typer.Option(help="Folder of the bundle; none: inside the data folder.")]
Home = Annotated[Path | None, typer.Option(help="Data folder; none: $NANOSMITH_HOME or ~/.nanosmith.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]
