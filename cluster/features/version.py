"""The schema hash: which features, in which order and version. Bundles and logs carry it; readers refuse another one.

It is over name, side, type and version, and over the width of the pretrained vectors: never over prose.
"""

import hashlib
import json
from collections.abc import Sequence

from cluster.features.feature import Feature


def schema_hash(features: Sequence[Feature], vector_width: int) -> str:
    """16 hexadecimal digits."""
    columns = [[feature.name, feature.side, feature.dtype, feature.version] for feature in features]
    text = json.dumps({"columns": columns, "vector_width": vector_width})
    return hashlib.sha256(text.encode()).hexdigest()[:16]
