"""Writes docs/features.md from the registry: `python -m cluster.features.document`."""

from collections.abc import Iterable
from pathlib import Path

from cluster.features.assemble import SIDES
from cluster.features.feature import Feature, SideName

PAGE = Path(__file__).parents[2] / "docs" / "features.md"

HEAD = """# Features

What both rankers see of a candidate, in the order of the columns: those of the request (user, context), then those of
the candidate (pin, graph, cross, source). All are float32, and a missing value is NaN. Serving computes them and logs
them, and training reads what was logged.

This page is written by `python -m cluster.features.document`. How to add one: [extend/feature.md](extend/feature.md).
"""

SIDE_TEXT: dict[SideName, str] = {
    "user": "One value a request, of the user.",
    "context": "One value a request, of the moment and of what was asked.",
    "pin": "One value a pin, computed when the graph is built and stored with it.",
    "graph": "One value a candidate: how the walk reached it; NaN where it did not.",
    "cross": "One value a candidate: how it goes with the query pins and with the user.",
    "source": "One value a candidate: which sources of candidates found it.",
}

FOOT = """
## Your own columns

Columns that `pinfunnel.yaml` names become features after the built-in ones, with version 1. Of the users input
(`features.user_numeric`, `features.user_categorical`) they are named `user_<column>` and stand last of the request's
columns. Of the pins input (`features.pin_numeric`, `features.pin_categorical`): `pin_<column>`, last of the pin's.
A categorical value becomes a code, its hash modulo 2^20.

Each of the project's actions (`features.history_actions`) has a column `pin_share_of_<action>` (its smoothed share of
the users' actions on the pin), `user_share_of_<action>` (its share of a user's history) and `cross_linear_of_<action>`
(linear weights of the user's pins with it, summed). Each numeric column of the pins input has `cross_<column>_apart`,
its distance from the mean over the user's history. Each source of candidates that `features.sources` names has
`source_rank_<source>` and `source_score_<source>`.

Features marked *vectors* are there when `features.pin_vector_width` is set.

## The schema hash

Bundles and logs carry a hash over name, order, side, type and version of all features and over the width of the
vectors, and are refused when it is another one. A better sentence changes nothing; a change of what a column means must
raise its version. What pinfunnel 0.1 wrote for the same features, all of version 1, is accepted as well.
"""


def page() -> str:
    """The whole page as Markdown."""
    sections = [_section(side.name, side) for side in SIDES]
    return "\n".join([HEAD, "\n".join(sections), FOOT.strip()]) + "\n"


def _section(name: SideName, features: Iterable[Feature]) -> str:
    lines = [
        f"## {name.capitalize()}",
        "",
        SIDE_TEXT[name],
        "",
        "| feature | type | version | what it is |",
        "|---|---|---|---|",
    ]
    for feature in features:
        about = feature.about + (" (*vectors*)" if feature.of_vectors else "")
        about = about.replace("|", r"\|")
        lines.append(f"| `{feature.name}` | {feature.dtype} | {feature.version} | {about} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
