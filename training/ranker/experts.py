"""Experts mixed per task: MMoE (Ma et al. 2018), one PLE extraction layer (Tang et al. 2020), or a plain shared
bottom.

All experts run as two batched products, not a loop: at a few hundred candidates the launches would cost more
than the maths. The gates see the input and the client, so each client can mix the same experts its own way.
"""

import math

import torch
from torch import Tensor, nn


class Grouped(nn.Module):
    """G independent linear layers in one batched product: float[G, N, i] → float[G, N, o]."""

    def __init__(self, groups: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(groups, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(groups, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Apply layer g to slice g."""
        return torch.baddbmm(self.bias, x, self.weight)


class Experts(nn.Module):
    """float[N, width] → float[A, N, out]: for each task its own mixture of `shared` common experts and `own`
    private ones.
    """

    allowed: Tensor

    def __init__(
        self,
        width: int,
        tasks: int,
        clients: int,
        shared: int,
        own: int,
        hidden: int,
        out: int,
        dropout: float,
        client_gates: bool,
    ) -> None:
        super().__init__()
        self.tasks = tasks
        self.count = shared + own * tasks
        self.hidden = hidden
        self.first = nn.Linear(width, self.count * hidden)
        self.second = Grouped(self.count, hidden, out)
        self.drop = nn.Dropout(dropout)
        # a single expert needs no gate, and a weight without a gradient would trouble distributed training
        self.gate = nn.Linear(width, tasks * self.count) if self.count > 1 else None
        self.client_gate = nn.Embedding(clients + 1, tasks * self.count) if client_gates and self.count > 1 else None
        if self.client_gate is not None:
            nn.init.zeros_(self.client_gate.weight)
        allowed = torch.zeros(tasks, self.count)
        for task in range(tasks):
            allowed[task, shared:] = -1e9  # another task's private experts
            allowed[task, shared + task * own : shared + (task + 1) * own] = 0.0
        self.register_buffer("allowed", allowed, persistent=False)

    def forward(self, x: Tensor, of_client: Tensor | None) -> Tensor:
        """`of_client` float[N, A * count]: what the candidate's client adds to the gates, if anything."""
        n = x.shape[0]
        hidden = torch.relu_(self.first(x)).view(n, self.count, self.hidden).transpose(0, 1)
        outs = torch.relu_(self.second(self.drop(hidden)))  # [E, N, out]
        if self.gate is None:
            return outs.expand(self.tasks, -1, -1)
        gate = self.gate(x)
        if of_client is not None:
            gate = gate + of_client
        mix = (gate.view(n, self.tasks, self.count) + self.allowed).softmax(-1)  # [N, A, E]
        return torch.bmm(mix.to(outs.dtype), outs.transpose(0, 1)).transpose(0, 1)  # [N,A,E] x [N,E,out]
