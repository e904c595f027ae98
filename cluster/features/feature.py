"""What a feature is, and the registry of one side: each side's file registers its functions in column order.

Knows nothing of the features themselves, nor of the arithmetic behind them.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Literal, TypeVar

SideName = Literal["user", "context", "pin", "graph", "cross", "source"]
Dtype = Literal["numeric", "categorical"]

Given = TypeVar("Given")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Feature:
    """One column. `user` and `context` features are the same for all candidates of a request; the others are not.

    Two features are the same when all but their sentence and function agree; `version` rises with a change in meaning.
    """

    name: str
    side: SideName
    dtype: Dtype
    version: int
    about: str = field(compare=False)
    compute: Callable[[Any], Any] = field(compare=False, repr=False)  # a RequestInput or PinInput to the value(s)
    of_vectors: bool = False  # only in projects whose pins have pretrained vectors
    of_source: str = field(default="", compare=False)  # NaN for a candidate that this source did not find

    @property
    def categorical(self) -> bool:
        """Whether the column holds codes (cluster.features.columns.category_code)."""
        return self.dtype == "categorical"


class Side(Generic[Given, Value]):
    """The features of one side, in the order in which they were registered. Their functions take Given to Value."""

    def __init__(self, name: SideName):
        self.name = name
        self._features: dict[str, Feature] = {}

    def __iter__(self) -> Iterator[Feature]:
        return iter(self._features.values())

    def feature(
        self, version: int, dtype: Dtype = "numeric", of_vectors: bool = False, of_source: str = ""
    ) -> Callable[[Callable[[Given], Value]], Callable[[Given], Value]]:
        """Registers a function under its own name; the first sentence of its docstring says what the column is.

        Raises ValueError for a name that does not begin with the side's, or is taken.
        """

        def register(function: Callable[[Given], Value]) -> Callable[[Given], Value]:
            name = function.__name__
            if not name.startswith(f"{self.name}_"):
                raise ValueError(f"feature {name}: a feature of this side is named {self.name}_…")
            if name in self._features:
                raise ValueError(f"feature {name} is registered twice")
            about = " ".join((inspect.getdoc(function) or "").split()).removesuffix(".")
            self._features[name] = Feature(name, self.name, dtype, version, about, function, of_vectors, of_source)
            return function

        return register


def of_each_action(
    side: SideName, stem: str, about: str, actions: Sequence[str], compute: Callable[..., Any]
) -> tuple[Feature, ...]:
    """A numeric column `<side>_<stem>_<action>` for each action that features tell apart.

    `compute` takes what the side's functions take, and `code`, the action's index.
    """
    return tuple(
        Feature(f"{side}_{stem}_{name}", side, "numeric", 1, about, partial(compute, code=code))
        for code, name in enumerate(actions)
    )
