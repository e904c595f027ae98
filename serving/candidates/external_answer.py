"""Reads what somebody else's service answered, `{"pins": [{"pin_id": ..., "score": ...}]}`, or says why it cannot."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from cluster.contract.ids import IdContract, shown
from cluster.errors import DataError

GREATEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class ExternalAnswer:
    """Ids as the contract has them, in the order of the answer; an id may stand there twice, and be of no pin."""

    ids: np.ndarray  # int64[n], or object[n] of str
    score: np.ndarray  # float32[n], finite


def read_answer(body: bytes, ids: str) -> ExternalAnswer:
    """`ids`: "int64" or "string", as the project has them. Raises DataError that names the entry and what is wrong."""
    try:
        raw = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(f"the service's answer is not JSON: {shown(str(error), 80)}") from None
    pins = raw.get("pins") if isinstance(raw, dict) else None
    if not isinstance(pins, list):
        raise DataError('the service\'s answer has no list "pins"')
    contract = IdContract("int64" if ids == "int64" else "string")
    found, scores = [], []
    for at, entry in enumerate(pins):
        if not isinstance(entry, dict):
            raise DataError(f"pins[{at}]: expected an object with pin_id and score, found {shown(entry)}")
        fault = contract.fault(entry.get("pin_id")) or _fault(entry.get("score"))
        if fault:
            raise DataError(f"pins[{at}]: {fault}")
        found.append(entry["pin_id"])
        scores.append(entry["score"])
    out = np.array([*found, None], object)[:-1]  # NumPy's own text type would cut ids
    return ExternalAnswer(out.astype(np.int64) if ids == "int64" else out, np.array(scores, np.float32))


def _fault(score: Any) -> str:
    if isinstance(score, bool) or not isinstance(score, (int, float)) or not abs(score) <= GREATEST:
        return f"score must be a finite number, found {shown(score)}"
    return ""
