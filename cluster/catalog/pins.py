"""What is known of each pin, as memory-mapped arrays aligned with the graph's pin index.

On disk: static.npy float32[n, P] · topics.npy float32[n, T] · vectors.npy float16[n, V] · locale.npy int16[n] ·
popular.npy int32[n] (all pins, most saved first) · popular_by_locale.npy int32[m] and popular_bounds.npy int64[L+1]
(the same within each locale, of the pins that were saved) · dated.npy int32[n], recent.npy float32[n] and span.json
(`SaveCounts`, for merging) · vocabulary.json · label_codes.npy and label_values.json (`PinLabels`) ·
image_offsets.npy and image_bytes.npy (`PinImages`).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.catalog.images import PinImages
from cluster.catalog.labels import PinLabels
from cluster.catalog.vocabulary import Vocabulary
from cluster.data.casting import list_matrix
from cluster.errors import BundleError
from cluster.features.assemble import FeatureSet, fill_pin_columns
from cluster.features.inputs import PinActivity, PinInput
from cluster.features.likeness import unit_rows
from cluster.graph.any_graph import AnyGraph
from cluster.graph.bounds import check_within
from cluster.graph.ids import IdMap
from cluster.graph.span import Span
from cluster.settings.project import FeatureSettings

ARRAYS = ("static", "topics", "vectors", "locale", "popular", "popular_by_locale", "popular_bounds")


@dataclass(frozen=True)
class SaveCounts:
    """How often each pin was saved, in the order of the graph's pins. Edges that pruning dropped count as well."""

    degree: np.ndarray  # int32[n], boards that hold the pin
    dated: np.ndarray  # int[n], its edges with a time
    recent: np.ndarray  # int or float32[n], those in the newest tenth of `span` (an estimate after merges)
    span: Span

    @classmethod
    def open(cls, folder: Path, graph: AnyGraph) -> "SaveCounts":
        """What `PinTable.build` kept in `folder`, for a graph that was not pruned. Raises BundleError without it."""
        try:
            dated = np.load(folder / "dated.npy")
            recent = np.load(folder / "recent.npy")
            span = Span.from_dict(json.loads((folder / "span.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise BundleError(f"cannot read how often pins were saved ({error}); build the graph again") from None
        if not len(dated) == len(recent) == graph.n_pins:
            raise BundleError(f"the pins in {folder} differ in length; build the graph again")
        return cls(graph.pin_degree, dated, recent, span)

    def save(self, folder: Path) -> None:
        """Writes what `open` reads."""
        np.save(folder / "dated.npy", self.dated.astype(np.int32))
        np.save(folder / "recent.npy", self.recent.astype(np.float32))
        (folder / "span.json").write_text(json.dumps(self.span.to_dict()), encoding="utf-8")


@dataclass(frozen=True)
class PinTable:
    """Read-only; safe to share between threads and processes."""

    static: np.ndarray  # float32[n, P], columns of FeatureSet.pin
    topics: np.ndarray  # float32[n, T], unit rows or zero
    vectors: np.ndarray  # float16[n, V], unit rows or zero; V is 0 without pretrained vectors
    locale: np.ndarray  # int16[n], -1 unknown
    vocabulary: Vocabulary
    labels: PinLabels | None  # None in a bundle of version 0.1
    _popular: np.ndarray
    _popular_by_locale: np.ndarray
    _popular_bounds: np.ndarray
    images: PinImages | None = None  # None: the pins input names no pictures

    def __len__(self) -> int:
        return len(self.locale)

    @property
    def content_width(self) -> int:
        """V + T."""
        return int(self.vectors.shape[1] + self.topics.shape[1])

    def content(self, pins: np.ndarray, width: int | None = None) -> np.ndarray:
        """float32[k, width] (default V + T): what a model reads of the pins' contents; a pin of -1 has a zero row.

        Vectors stand first and topics grow at the end (cluster.catalog.vocabulary): a model of fewer columns reads
        the first ones, and columns that this graph does not have yet are zero.
        """
        pins = np.asarray(pins)
        known = np.maximum(pins, 0)
        width = self.content_width if width is None else width
        out = np.zeros((len(pins), width), np.float32)
        rows = np.concatenate([self.vectors[known], self.topics[known]], axis=1)[:, :width]
        out[:, : rows.shape[1]] = rows
        out[pins < 0] = 0.0
        return out

    def popular(self, locale: int, k: int) -> np.ndarray:
        """int32[<= k]: the most saved pins of a locale code, or of all for -1; by recent saves, then all saves.

        Of a locale only pins that were saved at all: behind them come the popular pins of everywhere, not its new ones.
        """
        if locale < 0:
            return np.asarray(self._popular[:k])
        if locale >= len(self._popular_bounds) - 1:
            return np.empty(0, np.int32)
        start, end = int(self._popular_bounds[locale]), int(self._popular_bounds[locale + 1])
        return np.asarray(self._popular_by_locale[start : min(end, start + k)])

    def locale_code(self, name: str | None) -> int:
        """The code of a locale's name, -1 when unknown."""
        return self.vocabulary.locale_code(name)

    def check(self) -> None:
        """Raises BundleError where the popular pins are none of the table's."""
        check_within("popular pins", self._popular, 0, len(self))
        check_within("popular pins by locale", self._popular_by_locale, 0, len(self))
        check_within("bounds of popular pins", self._popular_bounds, 0, len(self) + 1)
        if self.images is not None:
            self.images.check()

    @classmethod
    def build(
        cls,
        folder: Path,
        graph: AnyGraph,
        vocabulary: Vocabulary,
        settings: FeatureSettings,
        pins: pa.Table | None,
        saves: SaveCounts,
        activity: PinActivity | None = None,
    ) -> "PinTable":
        """Writes `folder` from the cleaned pins input, how often pins were saved and what users did with them.

        A pin's locale is the range of the graph that it lies in, so that walks, popular pins and features agree on it.
        """
        folder.mkdir(parents=True, exist_ok=True)
        n = graph.n_pins
        rows = pin_rows(graph.pin_ids, pins)
        features = FeatureSet.of(settings)
        static = np.lib.format.open_memmap(folder / "static.npy", "w+", np.float32, (n, len(features.pin)))
        known = PinInput(saves.degree, saves.dated, saves.recent, saves.span.newest, pins, rows, activity)
        fill_pin_columns(features, known, static)
        topics = np.lib.format.open_memmap(folder / "topics.npy", "w+", np.float32, (n, vocabulary.width))
        vectors = np.zeros((n, settings.pin_vector_width), np.float16)
        locale = _locales(graph)
        if pins is not None:
            there = np.flatnonzero(rows >= 0)
            topics[there] = vocabulary.topic_rows(pins["topics"].take(pa.array(rows[there])))
            if settings.pin_vector_width:
                given = pins["vector"].take(pa.array(rows[there]))
                vectors[there] = unit_rows(list_matrix(given, settings.pin_vector_width))
        np.save(folder / "vectors.npy", vectors)
        np.save(folder / "locale.npy", locale)
        most_saved_first = (np.arange(n), -saves.degree.astype(np.int64), -saves.recent)
        order = np.lexsort(most_saved_first).astype(np.int32)
        np.save(folder / "popular.npy", order)
        saved = order[saves.degree[order] > 0]
        np.save(folder / "popular_by_locale.npy", saved[np.argsort(locale[saved], kind="stable")])
        sizes = np.bincount(locale[saved].astype(np.int64) + 1, minlength=len(vocabulary.locales) + 1)
        np.save(folder / "popular_bounds.npy", np.cumsum(sizes).astype(np.int64))
        PinLabels.build(folder, settings.pin_categorical, pins, rows)
        PinImages.build(folder, pins, rows)
        saves.save(folder)
        vocabulary.save(folder)
        static.flush()
        topics.flush()
        return cls.open(folder)

    @classmethod
    def open(cls, folder: str | Path) -> "PinTable":
        """Maps the files of `build`. Raises BundleError when one is missing or does not fit."""
        folder = Path(folder)
        try:
            static, topics, vectors, locale, all_pins, by_locale, bounds = (
                np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r"))
                for name in ARRAYS  # slices cost less
            )
        except (OSError, ValueError) as error:
            raise BundleError(f"cannot open the pins in {folder}: {error}; build the graph again") from None
        if not len(static) == len(topics) == len(vectors) == len(locale) == len(all_pins):
            raise BundleError(f"the pins in {folder} differ in length; build the graph again")
        return cls(
            static,
            topics,
            vectors,
            locale,
            Vocabulary.open(folder),
            PinLabels.open(folder),
            all_pins,
            by_locale,
            bounds,
            PinImages.open(folder),
        )


def pin_rows(ids: IdMap, pins: pa.Table | None) -> np.ndarray:
    """int64[n_pins]: the row of each graph pin in the cleaned pins input, -1 where it has none."""
    rows = np.full(len(ids), -1, np.int64)
    if pins is not None and len(pins):
        index = ids.index_of(pins["pin_id"])
        known = np.flatnonzero(index >= 0)
        rows[index[known]] = known
    return rows


def _locales(graph: AnyGraph) -> np.ndarray:
    """int16[n]: the locale code of each pin, -1 for those in the graph's last range, which is for unknown ones."""
    if graph.locale_bounds is None:
        return np.full(graph.n_pins, -1, np.int16)
    codes = np.arange(len(graph.locale_bounds) - 1)
    codes[-1] = -1
    return np.repeat(codes, np.diff(graph.locale_bounds)).astype(np.int16)
