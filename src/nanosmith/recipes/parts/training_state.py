"""What a training loop needs to go on to the last bit: parameters, optimizer and random state, as plain arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

PARAMETER, OPTIMIZER, RANDOM = "parameter", "optimizer", "random"


def arrays_of(parameters: Sequence[torch.nn.Parameter], optimizer: torch.optim.Optimizer) -> dict[str, NDArray[Any]]:
    """Views, not copies: `parameter.I`, `optimizer.I.NAME` and torch's `random`, I in the order of `parameters`, which
    has to be that of the optimizer's groups."""
    arrays = {f"{PARAMETER}.{i}": one.detach().numpy() for i, one in enumerate(parameters)}
    for i, state in optimizer.state_dict()["state"].items():
        arrays |= {f"{OPTIMIZER}.{i}.{name}": tensor.detach().numpy() for name, tensor in state.items()}
    return {**arrays, RANDOM: torch.get_rng_state().numpy()}


def put_back(
    arrays: Mapping[str, NDArray[Any]], parameters: Sequence[torch.nn.Parameter], optimizer: torch.optim.Optimizer
) -> None:
    """The reverse of `arrays_of`, for the same parameters and a new optimizer of the same kind."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, array in arrays.items():
        kind, _, rest = name.partition(".")
        if kind == OPTIMIZER:
            number, _, field = rest.partition(".")
            state.setdefault(int(number), {})[field] = torch.from_numpy(np.array(array))  # a copy: it is trained on
    with torch.no_grad():
        for i, parameter in enumerate(parameters):
            parameter.copy_(torch.from_numpy(np.array(arrays[f"{PARAMETER}.{i}"])))
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    torch.set_rng_state(torch.from_numpy(np.array(arrays[RANDOM])))
