from __future__ import annotations

import torch
from safetensors.numpy import load, save

from nanosmith.recipes.parts.training_state import arrays_of, put_back


def step(parameters: list[torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """One step towards random targets."""
    optimizer.zero_grad()
    sum(((parameter - torch.randn_like(parameter)) ** 2).sum() for parameter in parameters).backward()
    optimizer.step()


def new() -> tuple[list[torch.nn.Parameter], torch.optim.Optimizer]:
    parameters = [torch.nn.Parameter(torch.ones(3, 2)), torch.nn.Parameter(torch.zeros(4))]
    groups = [{"params": [parameters[0]], "lr": 0.1, "weight_decay": 0.1}, {"params": [parameters[1]], "lr": 0.01}]
    return parameters, torch.optim.AdamW(groups, fused=True)


def test_goes_on_to_the_last_bit() -> None:
    """Steps after saving and putting back, through a file's bytes, give the same parameters as without."""
    torch.manual_seed(1)
    parameters, optimizer = new()
    for _ in range(3):
        step(parameters, optimizer)
    kept = save(arrays_of(parameters, optimizer))
    step(parameters, optimizer)
    torch.manual_seed(2)
    others, other_optimizer = new()
    put_back(load(kept), others, other_optimizer)
    step(others, other_optimizer)
    assert all(torch.equal(one, other) for one, other in zip(parameters, others))


def test_before_the_first_step() -> None:
    """An optimizer that has not stepped yet has no state, and gets none."""
    parameters, optimizer = new()
    kept = load(save(arrays_of(parameters, optimizer)))
    others, other_optimizer = new()
    put_back(kept, others, other_optimizer)
    assert other_optimizer.state_dict()["state"] == {}
    step(others, other_optimizer)
