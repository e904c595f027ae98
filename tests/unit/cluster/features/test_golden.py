"""The registry against its pinned list, and docs/features.md against the registry."""

import copy

import pytest

from cluster.features.assemble import SIDES
from cluster.features.document import PAGE, page
from tests.unit.cluster.features.golden import COMMAND, changed_under_its_version, moved, present, stored


def test_no_feature_changes_under_its_version() -> None:
    changed = changed_under_its_version(stored(), present())
    assert not changed, "\n" + "\n".join(changed)


def test_the_list_of_features_is_the_pinned_one() -> None:
    different = moved(stored(), present())
    assert not different, (
        f"{'; '.join(different)}. Bundles and logs made so far no longer fit (docs/extend/feature.md). "
        f"If that is meant, run `{COMMAND}` and commit the file"
    )


@pytest.mark.parametrize("change", [("side", "cross"), ("type", "categorical"), ("values", [1.0] * 4)])
def test_a_change_under_a_version_is_seen_and_a_raised_version_allows_it(change: tuple[str, object]) -> None:
    after = copy.deepcopy(present())
    entry = next(entry for entry in after if entry["name"] == "graph_lift")
    entry[change[0]] = change[1]
    (line,) = changed_under_its_version(present(), after)
    assert line.startswith(f"graph_lift: {change[0]} was ")
    assert "raise the version" in line
    version = entry["version"]
    entry["version"] = version + 1
    assert changed_under_its_version(present(), after) == []
    assert moved(present(), after) == [
        f"new: graph_lift (version {version + 1})",
        f"gone: graph_lift (version {version})",
    ]


def test_a_new_order_is_seen() -> None:
    assert moved(present(), present()[::-1]) == ["the order of the columns"]


def test_every_feature_says_what_it_is() -> None:
    for side in SIDES:
        for feature in side:
            assert feature.about, f"{feature.name}: write a docstring that says what the column is"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m cluster.features.document` and commit the page"
