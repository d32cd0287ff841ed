from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nanosmith.recipes.base_folder import find_decoder
from nanosmith.recipes.parts import decoder_forward
from nanosmith.recipes.parts.decoder import Decoder
from nanosmith.recipes.parts.decoder_batches import Group, Layout
from nanosmith.recipes.parts.decoder_forward import answer_logits
from nanosmith.testing.tiny_decoder import save_tiny_decoder

GROUPS = [
    Group((1, 9, 30, 40), ((50, 60, 0), (70, 0), (80, 81, 82, 0)), (1.0, 1.0, 1.0)),
    Group((1, 77), ((90, 91, 92, 93, 0),), (1.0,)),
]


@pytest.mark.parametrize("model_type", ["llama", "qwen2", "qwen3", "gemma2", "phi3"])
def test_shared_prompts_change_nothing(tmp_path: Path, model_type: str) -> None:
    """Answers that share a row with their prompt get the logits, and the adapter the gradients, of separate rows run
    through transformers' own forward pass."""
    decoder = Decoder(find_decoder(str(save_tiny_decoder(tmp_path / "base", model_type)), tmp_path))
    model = decoder.new_model(seed=3)
    core = model.get_base_model()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(0.05 * torch.randn_like(parameter))
    core.float()
    ours = answer_logits(core, Layout(GROUPS), torch.float32)
    theirs = torch.cat([
        core(input_ids=torch.tensor([[*group.prompt, *answer[:-1]]])).logits[0, len(group.prompt) - 1 :]
        for group in GROUPS for answer in group.answers
    ])  # fmt: skip
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
    gradients = [torch.autograd.grad(logits.log_softmax(1)[:, 0].sum(), trained) for logits in (ours, theirs)]
    for mine, other in zip(*gradients):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-4)


def test_long_rows_take_the_fused_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long rows, whose attention keeps no weights, get the same logits as short ones."""
    core = Decoder(find_decoder(str(save_tiny_decoder(tmp_path / "base")), tmp_path)).new_model(seed=3).get_base_model()
    core.float()
    short = answer_logits(core, Layout(GROUPS), torch.float32)
    monkeypatch.setattr(decoder_forward, "LONG", 1)
    torch.testing.assert_close(answer_logits(core, Layout(GROUPS), torch.float32), short, rtol=1e-4, atol=1e-4)
