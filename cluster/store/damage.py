"""What a damaged file of a bundle raises: one kind of error, in one line, whatever the library below ran into."""

from collections.abc import Iterator
from contextlib import contextmanager

from cluster.errors import BundleError, PinfunnelError


@contextmanager
def opening(what: str, fix: str) -> Iterator[None]:
    """Turns every exception of the body into a BundleError that names `what` and the fix.

    NumPy, JSON, XGBoost and torch answer odd bytes with a dozen kinds of exception, and no list of them stays complete.
    """
    try:
        yield
    except BundleError as error:
        raise BundleError(" ".join(str(error).split())) from None
    except PinfunnelError as error:
        if not isinstance(error, OSError):
            raise
        raise BundleError(f"cannot open {what}: {' '.join(str(error).split())}; {fix}") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or "no reason given"
        raise BundleError(f"cannot open {what} ({type(error).__name__}): {ascii(reason)[1:-1]}; {fix}") from None
