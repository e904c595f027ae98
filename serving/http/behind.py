"""What happens behind an answer that has left: the teacher's pass over a share of them, and the log row of each."""

import asyncio
from collections.abc import Callable

from cluster.store.pseudonyms import Pseudonyms
from serving.funnel.funnel import Funnel
from serving.funnel.slots import SlottedFunnel
from serving.http.api import RecommendationRequest
from serving.logs.impressions import ServingLog, log_row
from serving.request.answer import Answer


class Behind:
    """Logs every answer; one that the teacher wants is logged once it is done with it."""

    def __init__(
        self,
        funnel: Funnel | SlottedFunnel,
        log: ServingLog,
        schema_hash: str,
        dropped: Callable[[str], None],
        names: Pseudonyms,
    ):
        """`dropped` is told the client of an answer that the full log queue had no room for; `names` users have."""
        self._names = names
        self._funnel = funnel
        self._log = log
        self._schema_hash = schema_hash
        self._dropped = dropped
        self._teaching: set[asyncio.Task[None]] = set()

    def keep(self, answer: Answer, request_id: str, body: RecommendationRequest) -> None:
        """Returns at once."""
        if not self._funnel.teacher.wants(answer):
            self.write(answer, request_id, body)
            return
        task = asyncio.create_task(self._teach_first(answer, request_id, body))
        self._teaching.add(task)  # asyncio holds tasks weakly
        task.add_done_callback(self._teaching.discard)

    async def flush(self) -> int:
        """Wait for the teacher, write what is queued into Parquet; the number of rows."""
        await asyncio.gather(*self._teaching, return_exceptions=True)
        return await asyncio.to_thread(self._log.flush)

    async def _teach_first(self, answer: Answer, request_id: str, body: RecommendationRequest) -> None:
        try:
            await self._funnel.teach(answer)
        finally:  # also when the server stops meanwhile
            self.write(answer, request_id, body)

    def write(self, answer: Answer, request_id: str, body: RecommendationRequest) -> None:
        """Queue the log row of an answer, untaught."""
        row = log_row(answer, request_id, self._schema_hash, body.experiment, body.locale, body.filter)
        if not self._log.offer({**row, "user_id": self._names.of(row["user_id"])}):
            self._dropped(answer.ask.client)
