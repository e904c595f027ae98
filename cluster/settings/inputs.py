"""`data` and `features` in pinfunnel.yaml: which files are read, and which of their columns are features."""

from pydantic import Field

from cluster.settings.parsing import Settings


class Source(Settings):
    """One Parquet file or folder, with the user's column names: `columns: {pin_id: item}` reads `item` as `pin_id`."""

    path: str = Field(description="file or folder; if relative, from the folder of `pinfunnel.yaml`")
    columns: dict[str, str] = Field({}, description="our name of a column → the name that it has in your files")


class DataSettings(Settings):
    """Where the input lies. Only `edges` is needed; each of the others makes the funnel better."""

    edges: Source = Field(description="saves of pins to boards")
    pins: Source | None = Field(None, description="what is known of each pin")
    users: Source | None = Field(None, description="what is known of each user")
    events: Source | None = Field(None, description="what users did before the funnel, or outside it")
    impressions: Source | None = Field(None, description="what an earlier system showed, and at which position")
    allow_drops: float = Field(
        0.05, ge=0, le=1, description="share of an input's rows that may be unusable; beyond, `validate` says error"
    )


class FeatureSettings(Settings):
    """The user's own feature columns: numeric ones as they are, categorical ones hashed (cluster/features/columns.py).

    With `pin_vector_width` the pins input has a column `vector`, a pretrained embedding of so many numbers.
    """

    pin_numeric: tuple[str, ...] = Field((), description="numeric columns of the pins input")
    pin_categorical: tuple[str, ...] = Field((), description="text columns of the pins input; `policy` reads them too")
    user_numeric: tuple[str, ...] = Field((), description="numeric columns of the users input")
    user_categorical: tuple[str, ...] = Field((), description="text columns of the users input")
    pin_vector_width: int = Field(0, ge=0, le=4096, description="numbers in each pin's `vector`; 0: there is none")
    max_topics: int = Field(64, ge=1, le=1024, description="the most frequent topics, which features tell apart")
    sequence_length: int = Field(32, ge=1, le=512, description="newest actions of a user that the full ranker reads")
    history_length: int = Field(
        512, ge=1, le=10_000, description="newest actions of a user that features look back on; kept with the graph"
    )
    rate_days: int = Field(30, ge=1, le=3650, description="days of the logs that tell rates of actions, before a build")
    sources: tuple[str, ...] = Field(
        (), description="sources of candidates whose rank and score are features of their own (a change of the schema)"
    )
    history_actions: tuple[str, ...] = Field(
        (), description="actions whose pins are told apart in features; default: all of `actions`"
    )

    @property
    def remembered(self) -> int:
        """Newest actions of each user to keep: enough for features, and for a sequence where some do not count."""
        return max(self.history_length, 2 * self.sequence_length)
