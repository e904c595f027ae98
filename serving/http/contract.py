"""What a request for recommendations must be like beyond its JSON types: ids and texts by the project's contract."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime

from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError

from cluster.attributes.faults import FilterError
from cluster.attributes.filters import Filter
from cluster.attributes.reading import read_filter
from cluster.contract.ids import IdContract
from cluster.contract.moments import MomentContract
from cluster.contract.text import field_fault
from cluster.settings.attributes import AttributeKind
from serving.http.api import RecommendationRequest
from serving.http.faults import field, located, short


def check_request(body: RecommendationRequest, ids: IdContract) -> None:
    """Raises the 422 of the first field that breaks the contract, named as `query_pins.3.pin_id`."""
    for name, reason in _faults(body, ids):
        if reason:
            raise field(name, reason)


def filter_of(body: RecommendationRequest, kinds: Mapping[str, AttributeKind]) -> Filter | None:
    """The request's filter. Raises the 422 of its first fault, named as `filter.and.1.brand`."""
    try:
        return None if body.filter is None else read_filter(body.filter, kinds)
    except FilterError as error:
        raise located(error.path, error.reason) from None


@contextmanager
def refused_of(kind: type[Exception]) -> Iterator[None]:
    """Raises what the body refuses as an error of this kind, for callers that speak no HTTP: `field: reason`."""
    try:
        yield
    except RequestValidationError as error:
        told = short(error.errors())
        lines = (f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}" for one in told)
        raise kind("; ".join(lines)) from None
    except HTTPException as error:
        raise kind(str(error.detail)) from None


def _faults(body: RecommendationRequest, ids: IdContract) -> Iterator[tuple[str, str]]:
    if body.user_id is not None:
        yield "user_id", ids.fault(body.user_id)
    for row, query in enumerate(body.query_pins):
        yield f"query_pins.{row}.pin_id", ids.fault(query.pin_id)
    for row, pin in enumerate(body.exclude):
        yield f"exclude.{row}", ids.fault(pin)
    yield "locale", field_fault("locale", body.locale)
    yield "experiment", field_fault("experiment", body.experiment)
    if body.at is not None:
        yield "at", MomentContract(live=False).fault(body.at, datetime.now(UTC))
