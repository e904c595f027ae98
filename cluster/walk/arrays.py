"""What the compiled loops share: the graph's words, the rules of a request, a thread's working memory.

Tuples of arrays and scalars, so that a loop names the few things that it reads instead of twenty. Counts and indices
are uint64 where a hot loop reads them: numba looks at the sign of others at each access. Knows no algorithm.

Numba's cache knows these classes by name, and does not see when what a kernel calls or inlines from another file has
changed: after an edit here or there, delete `cluster/walk/__pycache__`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

BLOCK = 256
"""Walkers in a block, advanced in lockstep."""


class GraphArrays(NamedTuple):
    """A graph as `cluster.graph.csr` or, with links in both halves, as `cluster.graph.packing` lays it out."""

    pin_index: Any
    pin_boards: Any
    board_index: Any
    board_pins: Any
    id_shift: Any  # uint64; 0 without links
    degree_bits: Any  # uint64; 0 without links


class Starts(NamedTuple):
    """Where the walks of a request begin, one entry a query pin or board."""

    nodes: Any  # int64[Q] pin, or board where `from_board`
    from_board: Any  # bool[Q]
    walks: Any  # int64[Q]


class StepRules(NamedTuple):
    """How each step of a request goes; all uint64."""

    live_below: Any  # a walk lives on while a random word is below: probability x 2^64
    bias_below: Any  # a step takes only pins of the range below while a random word is below this
    bias_start: Any
    bias_end: Any
    shift: Any  # log2 of the pins in a counting bucket
    queries: Any  # Q


class Scoring(NamedTuple):
    """Which visited pins are candidates, and what they score."""

    excluded: Any  # int32, ascending: pins that are no candidates
    allowed: Any  # bool[n_pins], read-only: the only pins that are; empty: all are
    min_visits: Any
    exponent: Any  # float32: of the multi-hit boost
    powers: Any  # float32[P]: visits^exponent for fewer than P visits
    discount: Any  # float32[D]: degree^-beta, the last for all degrees above; empty: no discount
    top_k: Any


class Lanes(NamedTuple):
    """Scratch of one block, uint64[BLOCK] each: of single walks and groups' jobs, then of the points that jobs make."""

    pos: Any  # edge
    frac: Any  # randomness that is left
    who: Any  # query << 32
    board: Any
    size: Any  # walks
    point: Any  # edge
    point_frac: Any
    point_who: Any
    point_size: Any


class Singles(NamedTuple):
    """Single walks that live on."""

    walker: Any  # uint64: `query << 32 | pin`, or the link that led to the pin
    query: Any  # uint64, beside links: query << 32


class Groups(NamedTuple):
    """Walks that stand on one pin and travel as one, an entry a group."""

    walker: Any  # uint64, as in `Singles`; on the first level always `query << 32 | node`
    query: Any  # uint64, beside links: query << 32
    walks: Any  # int64: how many


class Trail(NamedTuple):
    """Visits of a request, `query << 32 | pin`, uint64."""

    one: Any  # single visits
    many: Any  # several visits at once
    times: Any  # int64: how many, beside `many`
    hist: Any  # int32[buckets * Q]: entries that counting will make of them, by (pin >> shift, query)


class WalkCounts(NamedTuple):
    """How far a request has come; all uint64."""

    one: Any  # entries of `trail.one` in use
    many: Any  # entries of `trail.many` in use
    steps: Any


class Walking(NamedTuple):
    """Memory of the walk. Groups swap between `here` and `there` from level to level."""

    lanes: Lanes
    singles: Singles
    here: Groups
    there: Groups
    trail: Trail


class Dealt(NamedTuple):
    """A request's visits in the order of (bucket of 2^shift pins, query)."""

    entries: Any  # uint32: visits << 16 | offset into the bucket
    ends: Any  # uint32[buckets * Q]: where the entries of each (bucket, query) end
    shift: Any  # uint64
    queries: Any  # uint64


class Counters(NamedTuple):
    """One bucket's accumulators, 2^shift entries each; all zero between requests."""

    per_query: Any  # int32: visits from the query in hand
    total: Any  # int32
    boost: Any  # float32: sum over queries of visits^exponent
    unique: Any  # uint16: distinct pins of the query in hand
    touched: Any  # uint16: distinct pins of the bucket


class Visited(NamedTuple):
    """Distinct pins of a request, one entry each."""

    pin: Any  # uint32
    score: Any  # float32
    visits: Any  # int32; filled for one query only, `trace` finds them for many


class Choosing(NamedTuple):
    """Memory of the choice of the best."""

    bins: Any  # int64[2048]: histogram of a radix select
    keys: Any  # uint64[top_k]: `~score bits << 32 | candidate`, best first
    chosen: Any  # uint64[top_k]: `pin << 32 | row of the answer`
    slots: Any  # int32[2^shift], zero between requests: row of the answer, by pin of a bucket


class WalkOutput(NamedTuple):
    """What a request writes, best first; `by_query` has its rows one further down (row 0 is scratch)."""

    pins: Any  # int32[top_k]
    scores: Any  # float32[top_k]
    visits: Any  # int32[top_k]
    hits: Any  # int16[top_k]
    by_query: Any  # uint32[top_k + 1, Q]


class RequestMemory(NamedTuple):
    """One thread's memory for requests up to some size."""

    walking: Walking
    entries: Any
    ends: Any
    counters: Counters
    candidates: Visited
    choosing: Choosing
