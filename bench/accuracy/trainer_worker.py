"""Plain fine-tuning by transformers' Trainer: mean pooling, a linear head, all parameters, AdamW. See worker.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lines import serve, timed

BATCH = 32
FEW, SMALL_BATCH = 2_000, 16  # rows below which batches are smaller
LEARNING_RATE = 1e-4  # of a MiniLM of six layers; 5e-5, the default, learns too slowly in so few passes
MAX_TOKENS = 256


def train(request: dict[str, Any]) -> tuple[Callable[[list[str]], list[list[float]]], dict[str, Any]]:
    import torch
    from transformers import AutoTokenizer, DataCollatorWithPadding, Trainer, TrainingArguments

    torch.manual_seed(request["seed"])
    tokenizer = AutoTokenizer.from_pretrained(request["base"])
    model = _model(request["base"], request["labels"], request["several"])
    rows = [
        {**tokenizer(text, truncation=True, max_length=MAX_TOKENS), "labels": wanted}
        for text, wanted in zip(request["texts"], _wanted(request))
    ]
    batch = BATCH if len(rows) >= FEW else SMALL_BATCH
    arguments = TrainingArguments(
        output_dir=request["folder"], num_train_epochs=request["epochs"], per_device_train_batch_size=batch,
        learning_rate=LEARNING_RATE, warmup_steps=0.1, weight_decay=0.01, seed=request["seed"],
        report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, use_cpu=True,
        remove_unused_columns=False, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=DataCollatorWithPadding(tokenizer))
    took = timed(trainer.train)
    model.eval()

    def scores(given: list[str]) -> list[list[float]]:
        found: list[list[float]] = []
        with torch.inference_mode():
            for start in range(0, len(given), BATCH):
                texts = given[start : start + BATCH]
                inputs = tokenizer(texts, truncation=True, max_length=MAX_TOKENS, padding=True, return_tensors="pt")
                logits = model(**inputs)["logits"]
                found += (logits.sigmoid() if request["several"] else logits.softmax(1)).tolist()
        return found

    notes = {"epochs": request["epochs"], "batch": batch, "lr": LEARNING_RATE, "steps": trainer.state.global_step}
    return scores, {**took, "notes": notes}


def _wanted(request: dict[str, Any]) -> list[Any]:
    if not request["several"]:
        return list(request["wanted"])
    return [[float(i == one) for i in range(request["labels"])] for one in request["wanted"]]


def _model(base: str, labels: int, several: bool) -> Any:
    import torch
    from transformers import AutoModel

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = AutoModel.from_pretrained(base)
            self.dropout = torch.nn.Dropout(0.1)
            self.head = torch.nn.Linear(self.encoder.config.hidden_size, labels)
            self.loss = torch.nn.BCEWithLogitsLoss() if several else torch.nn.CrossEntropyLoss()

        def forward(
            self, input_ids: Any, attention_mask: Any, token_type_ids: Any = None, labels: Any = None
        ) -> dict[str, Any]:
            hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state  # (B, T, D)
            kept = attention_mask.unsqueeze(-1).to(hidden.dtype)
            logits = self.head(self.dropout((hidden * kept).sum(1) / kept.sum(1)))  # (B, L)
            return {"logits": logits} if labels is None else {"loss": self.loss(logits, labels), "logits": logits}

    return Classifier()


if __name__ == "__main__":
    serve(train)
