"""SetFit (Tunstall et al. 2022): contrastive tuning of the encoder, then logistic regression. See worker.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lines import serve, timed

BATCH = 16


def train(request: dict[str, Any]) -> tuple[Callable[[list[str]], list[list[float]]], dict[str, Any]]:
    from datasets import Dataset
    from setfit import SetFitModel, Trainer, TrainingArguments

    several, labels, texts = request["several"], request["labels"], request["texts"]
    strategy = {"multi_target_strategy": "one-vs-rest"} if several else {}
    model = SetFitModel.from_pretrained(request["base"], device="cpu", **strategy)
    wanted = [[int(i == one) for i in range(labels)] for one in request["wanted"]] if several else request["wanted"]
    arguments = TrainingArguments(
        batch_size=BATCH, num_epochs=request["epochs"], num_iterations=request["iterations"], seed=request["seed"],
        output_dir=request["folder"], report_to="none", show_progress_bar=False, logging_strategy="no",
        save_strategy="no",
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=Dataset.from_dict({"text": texts, "label": wanted}))
    took = timed(trainer.train)

    def scores(given: list[str]) -> list[list[float]]:
        found: list[list[float]] = model.predict_proba(given, as_numpy=True, show_progress_bar=False).tolist()
        return found

    notes = {"iterations": request["iterations"], "epochs": request["epochs"], "batch": BATCH}
    return scores, {**took, "notes": notes}


if __name__ == "__main__":
    serve(train)
