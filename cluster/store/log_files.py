"""What a look into the logs has found: readable parts, and the paths of those that are not."""

from dataclasses import dataclass

from cluster.features.assemble import FeatureSet
from cluster.store.log_parts import LogFile


@dataclass(frozen=True)
class LogFiles:
    """The readable parts of a query, oldest date first, and the paths of those that could not be opened."""

    files: tuple[LogFile, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def paths(self) -> list[str]:
        """Paths of the readable files."""
        return [f.path for f in self.files]

    @property
    def rows(self) -> int:
        """Rows of the readable files."""
        return sum(f.rows for f in self.files)

    def made_with(self, features: FeatureSet) -> "LogFiles":
        """Those whose feature columns are `features`."""
        return LogFiles(tuple(f for f in self.files if features.accepts(f.schema_hash)), self.unreadable)

    def report(self) -> str:
        """One line for the user; empty when nothing was left out."""
        if not self.unreadable:
            return ""
        shown = ", ".join(self.unreadable[:3]) + (", …" if len(self.unreadable) > 3 else "")
        return f"{len(self.unreadable)} unreadable log file(s) skipped (truncated or not Parquet; delete them): {shown}"
