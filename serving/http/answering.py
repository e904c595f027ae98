"""From a checked request to the funnel's answer, in its turn. Knows nothing of JSON, logs and metrics.

The endpoint and the console both ask here, so that what a person looks at is what a caller would get.
"""

from datetime import datetime

from fastapi import HTTPException

from cluster.attributes.filters import Filter
from cluster.control.choices import NONE_MADE, Choices
from cluster.control.forgotten import Forgotten
from cluster.errors import PinfunnelError
from serving.funnel.funnel import Funnel, NoCandidates
from serving.funnel.slots import SlottedFunnel
from serving.funnel.stages import Overloaded
from serving.http.admission import Admission, Busy
from serving.http.api import RecommendationRequest
from serving.http.questions import question
from serving.http.users import Events, known_of
from serving.request.answer import Answer
from serving.request.deadline import Deadline


class Answering:
    """Asks the funnel, with all that is known of who asks."""

    def __init__(
        self,
        funnel: Funnel | SlottedFunnel,
        admission: Admission,
        events: Events,
        choices: Choices,
        forgotten: Forgotten,
    ):
        self._funnel = funnel
        self._admission = admission
        self._events = events
        self._choices = choices
        self._forgotten = forgotten

    def personal(self, body: RecommendationRequest) -> bool:
        """Whether the request and its user let anything of the user be used."""
        return body.personalization and self._choices.of(body.user_id).personalization

    async def answer(
        self,
        client: str,
        body: RecommendationRequest,
        moment: datetime,
        seed: int,
        only: Filter | None,
        deadline: Deadline,
    ) -> Answer:
        """The answer to a body that is checked, and names no user who is not `personal`.

        Raises HTTPException 429 when there is too much to do, and 503 when there is nothing to answer from.
        """
        choice = NONE_MADE if body.user_id is None else self._choices.of(body.user_id)
        try:
            async with self._admission.turn(deadline):
                state, faults = await known_of(self._events, body.user_id, deadline)
                known_since = self._forgotten.before(body.user_id)
                return await self._funnel.recommend(
                    question(client, body, moment, seed, state, only, choice, known_since),
                    by_visits=body.order == "visit_count",
                    limit=body.limit,
                    explain=body.explain,
                    deadline=deadline,
                    faults=faults,
                )
        except Busy as error:
            raise HTTPException(429, str(error), {"Retry-After": str(error.retry_after)}) from error
        except Overloaded as error:
            raise HTTPException(429, str(error), {"Retry-After": "1"}) from error
        except PinfunnelError as error:
            raise HTTPException(503, str(error)) from error
        except NoCandidates as error:
            raise HTTPException(503, f"no candidates: {error}") from error
        except Exception as error:  # a funnel without a deadline lets faults through
            raise HTTPException(503, f"no candidates: {type(error).__name__}: {str(error)[:300]}") from error
