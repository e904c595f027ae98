"""From a user's actions to a vector that is near the items of the next ones. No user id: a new user works at once."""

from dataclasses import dataclass

from torch import Tensor, nn

from training.retrieval.block import GAPS, GatedBlock, gap_buckets

PADDING = 0
"""Code of no item; the items of `UserSequences` are shifted by one."""


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of the network."""

    items: int
    width: int = 64
    layers: int = 2
    heads: int = 2
    length: int = 200  # actions that are looked back at
    dropout: float = 0.3
    gated: bool = True
    of_time: bool = True  # whether `seconds` are a clock, not mere steps


class NextItemEncoder(nn.Module):
    """Causal: the state behind each action answers for the next one, so one pass trains all of them."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.item = nn.Embedding(config.items + 1, config.width, padding_idx=PADDING)
        self.since = nn.Embedding(GAPS, config.width) if config.of_time else None
        self.dropout = nn.Dropout(config.dropout)
        shape = (config.width, config.heads, config.length, config.dropout, config.gated, config.of_time)
        self.blocks = nn.ModuleList(GatedBlock(*shape) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width)
        for table in (self.item, self.since):
            if table is not None:
                nn.init.normal_(table.weight, std=0.02)
        nn.init.zeros_(self.item.weight[PADDING : PADDING + 1].data)

    def forward(self, items: Tensor, seconds: Tensor, asked: Tensor) -> Tensor:
        """float[B, L, width]: states behind `items` int64[B, L], padded at the end, done at `seconds` int64[B, L].

        `asked` int64[B, L]: the moment for which each state is to answer, that of the next action or now.
        """
        x = self.item(items) * self.config.width**0.5
        bucket = None
        if self.since is not None:
            bucket = gap_buckets(asked, seconds)
            x = x + self.since(bucket.diagonal(dim1=1, dim2=2)) * self.config.width**0.5
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, bucket)
        return self.norm(x)

    def item_vectors(self) -> Tensor:
        """float[items, width]; their products with a state are logits."""
        return self.item.weight[1:]


def parameters(model: nn.Module) -> int:
    """How many numbers were learnt."""
    return sum(p.numel() for p in model.parameters())
