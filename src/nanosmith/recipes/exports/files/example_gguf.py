"""Writes answers with an exported model. Needs gguf, torch, transformers, tokenizers and jinja2.

llama-cli -m model.gguf                llama.cpp needs the file alone
python example.py "a text" …           one JSON object per text
python example.py --check check.jsonl  compares with the answers that the model gave before its export
"""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent


class Model:
    """The likeliest answer, token by token."""

    def __init__(self):
        import torch
        from jinja2.sandbox import ImmutableSandboxedEnvironment
        from tokenizers import Tokenizer
        from transformers import AutoModelForCausalLM

        self.form = json.loads((HERE / "model.json").read_text(encoding="utf-8"))
        self.torch = torch
        self.tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        self.template = environment.from_string((HERE / "chat_template.jinja").read_text(encoding="utf-8"))
        graph = self.form["graph"]
        self.model = AutoModelForCausalLM.from_pretrained(HERE, gguf_file=graph, dtype=torch.float32).eval()

    def __call__(self, messages):
        prompt = self.template.render(messages=messages, add_generation_prompt=True, **self.form["special"])
        ids = self.torch.tensor([self.tokenizer.encode(prompt, add_special_tokens=False).ids])
        ends = list(self.form["ends"])
        with self.torch.inference_mode():
            found = self.model.generate(
                ids, attention_mask=self.torch.ones_like(ids), max_new_tokens=self.form["max_new_tokens"],
                do_sample=False, eos_token_id=ends, pad_token_id=ends[0],
            )  # fmt: skip
        written = [token for token in found[0, ids.shape[1] :].tolist() if token not in ends]
        return {"answer": self.tokenizer.decode(written, skip_special_tokens=False)}


def check(model, file):
    """How many answers are those of check.jsonl."""
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    same = sum(model(row["messages"])["answer"] == row["answer"] for row in rows)
    return {"texts": len(rows), "same_answer": same}


def main(arguments):
    model = Model()
    if arguments[:1] == ["--check"]:
        print(json.dumps(check(model, Path(arguments[1]))))
        return
    for text in arguments:
        print(json.dumps(model([{"role": "user", "content": text}]), ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
