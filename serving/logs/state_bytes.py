"""One user's state as bytes, for a store that several machines share: a version, then compressed JSON with a checksum.

Never pickle: whoever can write to the store must not be able to run anything here.
"""

import zlib

import orjson

from serving.logs.actions import Action, as_recents
from serving.request.ask import ShownPins, UserState

VERSION = b"1"
"""Of the layout; another one is as no value."""
MOST_BYTES = 64 << 20
"""Unpacked: twice 100,000 hidden pins with the longest ids. Who can write to the store must not fill our memory."""
LEVEL = 1
"""Of zlib, which also brings the checksum (Adler-32): names of actions and clients repeat, and go to a fifth."""


def pack_state(state: UserState, tag: str) -> bytes:
    """The state as `unpack_state` reads it; `tag` says whose word it is."""
    recents = state.recents
    acts = [each.tolist() for each in (recents.occurred_at, recents.pin_ids, recents.actions, recents.clients)]
    shown = [(one.client, one.at, one.pins) for one in state.shown]
    return VERSION + zlib.compress(orjson.dumps((tag, acts, state.hidden, shown)), LEVEL)


def unpack_state(value: bytes) -> tuple[str, UserState]:
    """Tag and state. Raises ValueError for bytes that are damaged or of another version."""
    if not value.startswith(VERSION):
        raise ValueError(f"a user's state of another version: {value[:1]!r}")
    try:
        tag, acts, hidden, shown = orjson.loads(_decompressed(value[len(VERSION) :]))
        moments, pins, actions, clients = acts
        rows = zip(moments, pins, actions, clients, strict=True)
        answers = tuple(ShownPins(client, at, tuple(each)) for client, at, each in shown)
        return tag, UserState(as_recents([Action(*row) for row in rows]), tuple(hidden), answers)
    except (zlib.error, ValueError, TypeError, LookupError, OverflowError) as error:
        raise ValueError(f"a user's state is damaged: {error}") from error


def _decompressed(packed: bytes) -> bytes:
    """Raises zlib.error or ValueError for a stream that is damaged, not whole, or larger than a state can be."""
    stream = zlib.decompressobj()
    unpacked = stream.decompress(packed, MOST_BYTES)
    if not stream.eof:
        raise ValueError("its end is missing, or it is larger than any state")
    return unpacked
