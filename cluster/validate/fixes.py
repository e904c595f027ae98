"""What to do about a counted row: one line for each kind of reason, found by a word of it."""

from collections.abc import Sequence

FIXES: Sequence[tuple[str, str]] = (
    ("is null", "fill it in, or leave it: these rows are not used"),
    ("event_id is empty", "write null where there is no id; without, two copies of an event count twice"),
    ("is empty", "fill it in, or leave it: these rows are not used"),
    ("edge is there twice", "write each edge once, or leave it: one is used"),
    ("is there twice", "write each once, or leave it: the later rows are not used"),
    ("more than once", "write each once, or leave it; `updated_at` says which row is the newest"),
    ("is longer than", "shorten it: these rows are not used"),
    ("outside the years", "check the unit: the numbers may be seconds or milliseconds written as microseconds"),
    ("among the pins", "add the pins to the pins input, or leave it: these edges are not used"),
    ("among `actions`", "add the action to `actions` in pinfunnel.yaml, or leave it: these events are not used"),
    ("in the graph", "list these pins in the pins input, or leave it: what was done with them is not used"),
    ("in the future", "check the clock and the time zone (times are UTC)"),
    ("not a finite number", "write null where the value is missing"),
    ("before 1990", "check the unit: the numbers may be seconds that were written as microseconds"),
    ("among the users", "add them to the users input if you know their locale or interests"),
    ("serving log", "nothing to do for history from before the funnel; else look for lost serving logs"),
    ("the whole request", "write one user, client and time (the earliest) into all rows of a request"),
    ("position is negative", "count positions from 0, from the top of what was shown"),
    ("position is beyond", "count positions from 0, anew in each request"),
    ("position is taken", "number all that a request showed from 0, or leave it: the later rows are not used"),
    ("graph.m", "set `graph.min_board_pins` and `graph.max_board_pins` in pinfunnel.yaml as you want them"),
)
"""(part of a reason, what to do); the first that fits counts."""


def fix_of(reason: str) -> str:
    """What to do about rows that were dropped, changed or noted for `reason`."""
    return next((fix for part, fix in FIXES if part in reason), "leave it so, or correct the rows")
