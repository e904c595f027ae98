"""What a batch is to answer, noted beside its answers: run again it goes on, and another batch is refused."""

import hashlib
import json
import secrets
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, TypeAdapter

from apps.batch.subjects import Kind
from cluster.errors import ConfigError
from cluster.store.disk import write_whole

NOTE = "batch.json"
PIECE = 1_000
"""Subjects of a piece: what is lost of a worker that dies, some seconds of its work."""


@dataclass(frozen=True)
class BatchPlan:
    """One batch. Answers are those of the moment `at` (microseconds since 1970 UTC)."""

    client: str
    kind: Kind
    at: int
    subjects: int
    digest: str  # of the ids in their order
    limit: int | None = None
    experiment: str = ""
    piece: Annotated[int, Field(ge=1)] = PIECE
    salt: str = ""  # so that a request's id does not tell its user to whoever reads the log

    def request_id(self, subject: object) -> str:
        """The id of a subject's request: the same when a piece is answered again, so that it is logged once."""
        told = f"{self.salt} {self.client} {subject}"
        return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()

    @property
    def pieces(self) -> int:
        """How many there are."""
        return -(-self.subjects // self.piece)

    @property
    def moment(self) -> datetime:
        """`at` as the API has it."""
        return datetime.fromtimestamp(self.at / 1e6, UTC)

    def ids_of(self, piece: int, ids: np.ndarray) -> np.ndarray:
        """The subjects of one piece."""
        return ids[piece * self.piece : (piece + 1) * self.piece]


def digest_of(ids: np.ndarray) -> str:
    """Tells one list of ids from another."""
    return hashlib.blake2b("\n".join(map(str, ids.tolist())).encode(), digest_size=12).hexdigest()


def begin(folder: Path, plan: BatchPlan, at_given: bool) -> BatchPlan:
    """Notes the plan in a new folder, or takes up the one that is noted there, with its moment.

    Raises ConfigError where another batch is there.
    """
    note = folder / NOTE
    if not note.exists():
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"--out: {folder} is not empty and holds no batch: name a new folder")
        plan = replace(plan, salt=secrets.token_hex(16))
        write_whole(note, json.dumps(asdict(plan), indent=1).encode())
        return plan
    try:
        before = TypeAdapter(BatchPlan).validate_json(note.read_bytes(), strict=True)
    except ValueError:
        raise ConfigError(f"--out: {note} cannot be read: name a new folder") from None
    wanted = plan if at_given else replace(plan, at=before.at)
    wanted = replace(wanted, piece=before.piece, salt=before.salt)
    differing = [name for name, value in asdict(wanted).items() if asdict(before)[name] != value]
    if differing:
        raise ConfigError(
            f"--out: {folder} holds another batch (other {', '.join(differing)}): name a new folder, or delete this one"
        )
    return before


def path_of(folder: Path, piece: int) -> Path:
    """Where the answers of a piece are, once all of them are there."""
    return folder / f"part-{piece:06d}.parquet"


def left(folder: Path, plan: BatchPlan) -> list[int]:
    """Pieces that are not answered yet."""
    return [piece for piece in range(plan.pieces) if not path_of(folder, piece).exists()]
