"""What is known of each user: locale, interests, configured columns and their newest actions, memory-mapped.

On disk: users.* (id map) · locale.npy int16[U] · interests.npy float32[U, T] · numeric.npy float32[U, K] ·
offsets.npy int64[U+1] · pins.npy int32[H] (the graph's pin index) · actions.npy, clients.npy int16[H] ·
occurred_at.npy int64[H] · hidden_offsets.npy int64[U+1] and hidden_pins.npy int32[·] (what the user hid, newest first;
not in bundles of version 0.1) · names.json.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from cluster.catalog.history import History
from cluster.catalog.vocabulary import Vocabulary
from cluster.errors import BundleError
from cluster.features.columns import category_column, numeric_column
from cluster.graph.bounds import check_offsets, check_within
from cluster.graph.ids import IdMap
from cluster.settings.project import FeatureSettings

ARRAYS = ("locale", "interests", "numeric", "offsets", "pins", "actions", "clients", "occurred_at")
HIDDEN = ("hidden_offsets", "hidden_pins")
BY_OFFSETS = {"offsets": ("pins", "actions", "clients", "occurred_at"), "hidden_offsets": ("hidden_pins",)}
"""Arrays with a range of rows for each user, by the array that says which."""


@dataclass(frozen=True)
class UserRow:
    """One user. The history runs from the newest action to the oldest; all of it is empty for an unknown user."""

    known: bool
    locale: int  # code, -1 unknown
    interests: np.ndarray  # float32[T], unit length or zero
    numeric: np.ndarray  # float32[K], NaN unknown
    pins: np.ndarray  # int32[H], the graph's pin index
    pin_ids: np.ndarray  # [H] int64, or object of str
    actions: np.ndarray  # object[H] of str
    clients: np.ndarray  # object[H] of str, "" when the event named none
    occurred_at: np.ndarray  # int64[H], microseconds since 1970
    hidden: np.ndarray  # ids of the pins with a negative action, newest first, however long ago


class UserTable:
    """Read-only; safe to share between threads and processes."""

    def __init__(self, ids: IdMap, pin_ids: IdMap, arrays: dict[str, np.ndarray], names: dict[str, list[str]]) -> None:
        self.ids = ids
        self.gone: Callable[[int | str], bool] = lambda user: False
        """Of whom nothing here counts any more, as the user was forgotten since."""
        self._pin_ids = pin_ids
        self._arrays = arrays
        self._names = names
        self._actions = np.array([*names["actions"], None], dtype=object)[:-1]
        self._clients = np.array([*names["clients"], None], dtype=object)[:-1]
        no_pins = np.empty(0, np.int64 if pin_ids.dtype == "int64" else object)
        no_text = np.empty(0, object)
        self._nobody = UserRow(
            known=False,
            locale=-1,
            interests=np.zeros(arrays["interests"].shape[1], np.float32),
            numeric=np.full(arrays["numeric"].shape[1], np.nan, np.float32),
            pins=np.empty(0, np.int32),
            pin_ids=no_pins,
            actions=no_text,
            clients=no_text,
            occurred_at=np.empty(0, np.int64),
            hidden=no_pins,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def row(self, user_id: int | str | None) -> UserRow:
        """The user's row; an empty one for None, for an unknown id and for an id of the other type."""
        if not isinstance(user_id, (int, np.integer) if self.ids.dtype == "int64" else str):
            return self._nobody
        try:
            at = int(self.ids.index_of([user_id])[0])
        except OverflowError:  # beyond int64: nobody has it
            return self._nobody
        return self._nobody if at < 0 or self.gone(user_id) else self._row(at)

    def _row(self, at: int) -> UserRow:
        a = self._arrays
        rows = slice(int(a["offsets"][at]), int(a["offsets"][at + 1]))
        return UserRow(
            True,
            int(a["locale"][at]),
            np.asarray(a["interests"][at]),
            np.asarray(a["numeric"][at]),
            np.asarray(a["pins"][rows]),
            self._pin_ids.ids_of(a["pins"][rows]),
            self._actions[a["actions"][rows]],
            self._clients[a["clients"][rows]],
            np.asarray(a["occurred_at"][rows]),
            self._pin_ids.ids_of(a["hidden_pins"][int(a["hidden_offsets"][at]) : int(a["hidden_offsets"][at + 1])]),
        )

    def check(self) -> None:
        """Raises BundleError where a user's history leads to a pin, an action or a client that there is not."""
        self.ids.check("ids of users")
        for offsets, pins in (("offsets", "pins"), HIDDEN):
            check_offsets(f"{offsets} of users", self._arrays[offsets], self._arrays[pins].size)
            check_within(f"{pins} of users", self._arrays[pins], 0, len(self._pin_ids))
        check_within("actions of users", self._arrays["actions"], 0, len(self._actions))
        check_within("clients of users", self._arrays["clients"], 0, len(self._clients))

    @classmethod
    def build(
        cls,
        folder: Path,
        pin_ids: IdMap,
        vocabulary: Vocabulary,
        settings: FeatureSettings,
        users: pa.Table | None,
        history: History | None,
        hides: History | None = None,
    ) -> "UserTable":
        """Writes `folder` from the cleaned users input and the history; users with history only get a row as well."""
        folder.mkdir(parents=True, exist_ok=True)
        kind = pa.int64() if pin_ids.dtype == "int64" else pa.string()
        ids = pa.array([], kind) if users is None else users["user_id"].combine_chunks()
        listed = len(ids)
        if history is not None:
            extra = history.user_ids.filter(pa.array(IdMap.from_ids(ids).index_of(history.user_ids) < 0))
            ids = pa.concat_arrays([ids, extra])
        n = len(ids)
        ids_map = IdMap.from_ids(ids)
        locale = np.full(n, -1, np.int16)
        interests = np.zeros((n, vocabulary.width), np.float32)
        if users is not None:
            locale[:listed] = vocabulary.locale_codes(users["locale"])
            interests[:listed] = vocabulary.topic_rows(users["interests"])
        columns = [numeric_column(users, name) for name in settings.user_numeric]
        columns += [category_column(users, name) for name in settings.user_categorical]
        numeric = np.full((n, len(columns)), np.nan, np.float32)
        for at, column in enumerate(columns):
            if column is not None:
                numeric[:listed, at] = column
        arrays: dict[str, np.ndarray] = {
            "locale": locale,
            "interests": interests,
            "numeric": numeric,
            **_history_arrays(history, ids_map),
        }
        hidden = _history_arrays(hides, ids_map)
        arrays |= {"hidden_offsets": hidden["offsets"], "hidden_pins": hidden["pins"]}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        ids_map.save(folder, "users")
        names = {"actions": history.action_names if history else (), "clients": history.client_names if history else ()}
        (folder / "names.json").write_text(json.dumps(names, ensure_ascii=False), encoding="utf-8")
        return cls.open(folder, pin_ids)

    def save_without(self, folder: Path, users: np.ndarray) -> None:
        """Writes `folder`, which `open` maps, without the users of these indices: as if they had never been there."""
        folder.mkdir(parents=True)
        stays = np.ones(len(self), bool)
        stays[users] = False
        arrays: dict[str, np.ndarray] = {}
        for name in ("locale", "interests", "numeric"):
            arrays[name] = self._arrays[name][stays]
        for offsets, columns in BY_OFFSETS.items():
            sizes = np.diff(self._arrays[offsets])
            arrays[offsets] = np.concatenate([[0], np.cumsum(sizes[stays])]).astype(np.int64)
            arrays |= {name: self._arrays[name][np.repeat(stays, sizes)] for name in columns}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        IdMap.from_ids(self.ids.ids_of(np.flatnonzero(stays))).save(folder, "users")
        (folder / "names.json").write_text(json.dumps(self._names, ensure_ascii=False), encoding="utf-8")

    @classmethod
    def open(cls, folder: str | Path, pin_ids: IdMap) -> "UserTable":
        """Maps the files of `build`; `pin_ids` is the graph's. Raises BundleError when a file is missing or unfit."""
        folder = Path(folder)
        try:
            arrays = {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in ARRAYS}
            there = [name for name in HIDDEN if (folder / f"{name}.npy").exists()]
            arrays |= {name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in there}
            names = json.loads((folder / "names.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BundleError(f"cannot open the users in {folder}: {error}; build the graph again") from None
        ids = IdMap.open(folder, "users")
        arrays.setdefault("hidden_offsets", np.zeros(len(ids) + 1, np.int64))
        arrays.setdefault("hidden_pins", np.empty(0, np.int32))
        if not len(ids) == len(arrays["locale"]) == len(arrays["offsets"]) - 1:
            raise BundleError(f"the users in {folder} differ in length; build the graph again")
        return cls(ids, pin_ids, arrays, names)


def _history_arrays(history: History | None, ids: IdMap) -> dict[str, np.ndarray]:
    """The history with its users renumbered by `ids`."""
    sizes = np.zeros(len(ids), np.int64)
    if history is None:
        empty = {"pins": np.int32, "actions": np.int16, "clients": np.int16, "occurred_at": np.int64}
        arrays = {name: np.empty(0, dtype) for name, dtype in empty.items()}
        return {"offsets": np.zeros(len(ids) + 1, np.int64), **arrays}
    users = ids.index_of(history.user_ids)
    lengths = np.diff(history.offsets)
    sizes[users] = lengths
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    order = np.argsort(np.repeat(users, lengths), kind="stable")
    names = ("pins", "actions", "clients", "occurred_at")
    return {"offsets": offsets, **{name: getattr(history, name)[order] for name in names}}
