"""Explicit feature crossing: DCNv2's low-rank cross layers (Wang et al. 2021) and serial MaskBlocks (MaskNet, Wang
et al. 2021).
"""

from torch import Tensor, nn


class CrossLayers(nn.Module):
    """x_{l+1} = x_0 * (U V x_l + b) + x_l over float[N, width]; rank r costs 2·width·r multiply-adds per layer and
    row.
    """

    def __init__(self, width: int, layers: int, rank: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(nn.Linear(width, rank, bias=False) for _ in range(layers))
        self.up = nn.ModuleList(nn.Linear(rank, width) for _ in range(layers))

    def forward(self, x0: Tensor) -> Tensor:
        """float[N, width] → float[N, width]."""
        x = x0
        for down, up in zip(self.down, self.up, strict=True):
            x = x0 * up(down(x)) + x
        return x


class MaskLayers(nn.Module):
    """Each block gates its input by a mask computed from x_0 through a bottleneck, then projects, normalises and
    adds.
    """

    def __init__(self, width: int, layers: int, rank: int) -> None:
        super().__init__()
        self.mask = nn.ModuleList(
            nn.Sequential(nn.Linear(width, rank), nn.ReLU(), nn.Linear(rank, width)) for _ in range(layers)
        )
        self.block = nn.ModuleList(nn.Sequential(nn.Linear(width, width), nn.LayerNorm(width)) for _ in range(layers))
        self.act = nn.ReLU()

    def forward(self, x0: Tensor) -> Tensor:
        """float[N, width] → float[N, width]."""
        x = x0
        for mask, block in zip(self.mask, self.block, strict=True):
            x = x + self.act(block(mask(x0) * x))
        return x


def build_crossing(kind: str, width: int, layers: int, rank: int) -> nn.Module:
    """The configured crossing, or identity."""
    if kind == "none" or layers == 0:
        return nn.Identity()
    return CrossLayers(width, layers, rank) if kind == "dcn" else MaskLayers(width, layers, rank)
