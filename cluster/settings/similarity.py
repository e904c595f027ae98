"""How likeness between pins is measured: the section `similarity` of `pinfunnel.yaml`."""

from pydantic import Field

from cluster.settings.parsing import Settings


class SimilaritySettings(Settings):
    """Which pins are alike, measured when a graph is built (cluster/similarity/) and read by features."""

    neighbours: int = Field(256, ge=0, le=10_000, description="similar pins to keep of each pin; 0: measure nothing")
    exact_pins: int = Field(
        5_000, ge=0, description="pins on boards up to which linear weights are exact (one inverse)"
    )
    regressed: int = Field(100, ge=1, le=1000, description="beyond: nearest pins that a pin's weights are fitted on")
    l2: float = Field(300.0, gt=0, description="strength of the linear weights' regularisation")
    shrinkage: float = Field(20.0, ge=0, description="added to the cosine's denominator: pins on few boards count less")
    board_pins: int = Field(5_000, ge=0, description="boards of more pins say nothing of likeness; 0: all do")
    window: int = Field(10, ge=1, le=100, description="actions within which one pin follows another")
    damping: float = Field(5.0, ge=0, description="added to the denominator of what follows, as shrinkage is")
