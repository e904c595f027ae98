"""Dense columns for a network: heavy tails, scale and missing values, all learned once from a sample and kept in
buffers.

Per column: signed log1p if the sample is heavy-tailed (its extreme |z| is above 8), then standardised and
clipped to ±6; a missing value (NaN) becomes 0 and raises the column's missing indicator; and, with `bins` > 0,
a piecewise-linear encoding over quantile bins (Gorishniy et al. 2022), which lets one linear layer bend at the
data's own quantiles as trees do.
"""

import numpy as np
import torch
from torch import Tensor, nn

from training.ranker.batch import Floats

_TAIL = 8.0
_CLIP = 6.0
_HUGE = 1e30


class Numeric(nn.Module):
    """float32[R, D] with NaN → float32[R, D * (2 + bins)], free of NaN. Call `learn` on a sample before training."""

    mean: Tensor
    scale: Tensor
    tail: Tensor
    edge: Tensor
    step: Tensor

    def __init__(self, width: int, bins: int) -> None:
        super().__init__()
        self.width, self.bins = width, bins
        self.out = width * (2 + bins)
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))  # 1 / standard deviation
        self.register_buffer("tail", torch.zeros(width))  # 1 = signed log1p first
        self.register_buffer("edge", torch.zeros(width, max(bins, 1)))  # left edges, after the steps above
        self.register_buffer("step", torch.zeros(width, max(bins, 1)))  # 1 / bin width; 0 = empty bin

    @torch.no_grad()
    def learn(self, sample: Floats) -> None:
        """Set the buffers from float32[R, D]. A column that is constant or all missing contributes zeros."""
        for column in range(self.width):
            values = sample[:, column]
            values = values[np.isfinite(values)].astype(np.float64)
            if not len(values) or values.min() == values.max():
                self.scale[column] = 0.0
                self.mean[column] = float(values[0]) if len(values) else 0.0
                continue
            extreme = np.abs(values - values.mean()).max() / values.std()
            self.tail[column] = float(extreme > _TAIL)
            if extreme > _TAIL:
                values = np.sign(values) * np.log1p(np.abs(values))
            self.mean[column] = float(values.mean())
            self.scale[column] = float(1 / max(values.std(), 1e-12))
            if self.bins:
                z = np.clip((values - values.mean()) / max(values.std(), 1e-12), -_CLIP, _CLIP)
                edges = np.quantile(z, np.linspace(0, 1, self.bins + 1))
                gaps = np.diff(edges)
                self.edge[column] = torch.from_numpy(edges[:-1]).float()
                self.step[column] = torch.from_numpy(np.where(gaps > 1e-6, 1 / np.maximum(gaps, 1e-6), 0)).float()

    def middle(self) -> Tensor:
        """What every column has on average where it is standardised: float32[1, D], 0 before `learn`."""
        back = torch.sign(self.mean) * torch.expm1(self.mean.abs())
        return torch.where(self.tail > 0, back, self.mean).unsqueeze(0)

    def forward(self, x: Tensor) -> Tensor:
        """Encode; see the class."""
        missing = torch.isnan(x)
        x = torch.nan_to_num(x, nan=0.0, posinf=_HUGE, neginf=-_HUGE)  # missing values are masked out again below
        logged = torch.sign(x) * torch.log1p(x.abs())
        x = torch.where(self.tail > 0, logged, x)
        z = ((x - self.mean) * self.scale).clamp(-_CLIP, _CLIP)
        z = torch.where(missing, 0.0, z)
        parts = [z, missing.to(z.dtype)]
        if self.bins:
            steps = ((z.unsqueeze(-1) - self.edge) * self.step).clamp(0.0, 1.0)
            parts.append((steps * (~missing).unsqueeze(-1)).flatten(1))
        return torch.cat(parts, 1)
