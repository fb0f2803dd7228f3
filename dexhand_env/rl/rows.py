"""A network whose output for a row of its input has the same bits whatever rows are beside it, and wherever it stands.

Matrix products on a CPU are rounded by the kernel that computes them, which is chosen by the number of rows and, for
narrow layers, by how a row lies in memory. So the network always sees the same number of rows, and all rows lie alike.
"""

from __future__ import annotations

from typing import Callable

import torch
from torch import nn
from torch.nn.functional import linear, pad

# Rows of a block, and floats that the start of a row is a multiple of (16 bytes). Measured with MKL: in smaller blocks,
# as of 16, layers of some widths still round by a row's place.
BLOCK, ALIGNMENT = 64, 4


class AlignedLinear(nn.Module):
    """A linear layer that fills up its inputs with zeros.

    Args:
        layer: the layer; its weights are copied.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self._missing = -layer.in_features % ALIGNMENT
        self.weight = nn.Parameter(pad(layer.weight.detach(), (0, self._missing)), requires_grad=False)
        self.bias = layer.bias

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """``nn.Linear`` of rows (n, inputs)."""
        return linear(pad(rows, (0, self._missing)), self.weight, self.bias)


def align(network: nn.Module) -> None:
    """Replace the layers that need it, in a network that is not to be trained."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and child.in_features % ALIGNMENT:
                setattr(parent, name, AlignedLinear(child))


def in_blocks(network: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
    """``network`` of rows (n, inputs), given to it in blocks; zeros fill up the last one.

    Args:
        network: of one block, (BLOCK, outputs).
    """
    filled = pad(rows, (0, 0, 0, -len(rows) % BLOCK))
    return torch.cat([network(block) for block in filled.split(BLOCK)])[: len(rows)]
