"""Makes a UBJ model of xgboost 3.x readable by xgboost 2.0. Bytes in, bytes out: knows nothing of training.

From 3.1 on `base_score` is written as a vector, "[3.36E-1]". 2.0.3 misreads that without a word: its margins are off by
a constant. A model with one output gets the plain number, which every version reads.
"""

import struct

from cluster.errors import ModelError

_KEY = b"base_scoreSL"


def make_portable(model: bytes) -> bytes:
    """The same UBJ model with a scalar `base_score`; unchanged when it is one already.

    Raises ModelError for a model with several outputs, which xgboost 2.0 has no form for.
    """
    at = model.find(_KEY)
    if at < 0:
        raise ModelError("not a UBJ model of xgboost: base_score is missing")
    start = at + len(_KEY)
    (length,) = struct.unpack(">q", model[start : start + 8])
    text = model[start + 8 : start + 8 + length]
    if not text.startswith(b"["):
        return model
    scalar = text.strip(b"[]")
    if b"," in scalar:
        raise ModelError("a model with several outputs cannot be read by xgboost 2.0: train one output")
    return model[:start] + struct.pack(">q", len(scalar)) + scalar + model[start + 8 + length :]
