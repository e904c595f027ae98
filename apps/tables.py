"""Tables for terminals of 80 columns: narrow, and nothing in them is cut, so that no two rows look alike."""

from typing import Any

from rich.box import SIMPLE
from rich.table import Table as RichTable


class Table(RichTable):
    """A table as the commands print it: what has no room in its column goes on in the next line."""

    def __init__(self, *headings: str, **options: Any):
        usual: dict[str, Any] = {"box": SIMPLE, "pad_edge": False, "padding": (0, 1, 0, 0)}
        super().__init__(**(usual | options))
        for heading in headings:
            self.add_column(heading)

    def add_column(self, *args: Any, **options: Any) -> None:
        """As rich's, with words folded rather than cut."""
        usual: dict[str, Any] = {"overflow": "fold"}
        super().add_column(*args, **(usual | options))
