"""Open-loop load over HTTP: requests leave at a constant rate, whatever came of the ones before.

Latency counts from the moment at which a request was to leave, so that a slow server cannot hide how late the next
ones are (coordinated omission). Runs in a process of its own, whose CPU time is told.

    python -m apps.bench.serving.load URL --rate 50 --seconds 10 --users 20000
"""

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from subprocess import run as start
from typing import Annotated, Any

import aiohttp
import numpy as np
import typer

PATIENCE = 30.0
"""Seconds after which a request is given up."""
TICK = 0.001
"""The schedule's grain, seconds: well below what a request takes."""


@dataclass
class LoadOutcome:
    """What came of one load; None: nothing was answered, or sent."""

    rate: float  # requests a second that were sent
    seconds: float
    answered: int = 0
    degraded: int = 0  # of the answered
    refused: int = 0  # 429
    failed: dict[str, int] = field(default_factory=dict)  # other statuses and errors
    p50_ms: float | None = None
    p99_ms: float | None = None
    most_ms: float | None = None
    generator_cpu_ms: float | None = None  # a request
    generator_late_ms: float | None = None  # p99 of how late the generator itself was

    @property
    def whole(self) -> bool:
        """Whether every request got a whole answer."""
        return not self.refused and not self.failed and not self.degraded


def load(url: str, rate: float, seconds: float, users: int, client: str = "homefeed", seed: int = 0) -> LoadOutcome:
    """Run the load in a process of its own."""
    command = [
        sys.executable,
        "-P",
        "-m",
        "apps.bench.serving.load",
        url,
        "--rate",
        str(rate),
        "--seconds",
        str(seconds),
    ]
    command += ["--users", str(users), "--client", client, "--seed", str(seed)]
    done = start(command, capture_output=True, text=True, check=True)
    return LoadOutcome(**json.loads(done.stdout))


async def send(url: str, client: str, rate: float, seconds: float, users: int, seed: int) -> LoadOutcome:
    """Send the load from this process."""
    rng = np.random.default_rng([seed, int(rate * 10)])
    count = int(rate * seconds)
    drawn = rng.integers(0, users, count).tolist()
    latency: list[float] = []
    late: list[float] = []
    kinds: Counter[str] = Counter()
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    target = f"{url}/v1/{client}/recommendations"

    async def one(session: aiohttp.ClientSession, user: int, due: float) -> None:
        late.append(time.perf_counter() - due)
        try:
            async with session.post(target, json={"user_id": user}, timeout=timeout) as response:
                body = await response.read()
                kind = str(response.status)
        except (aiohttp.ClientError, TimeoutError) as error:
            kinds[type(error).__name__] += 1
            return
        kinds[kind] += 1
        if kind == "200":
            latency.append(time.perf_counter() - due)
            kinds["degraded"] += b'"degraded":""' not in body

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        cpu, began = time.process_time(), time.perf_counter()
        tasks = []
        for at, user in enumerate(drawn):
            due = began + at / rate
            while (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(max(wait, TICK))
            tasks.append(asyncio.create_task(one(session, user, due)))
        await asyncio.gather(*tasks)
        cpu = time.process_time() - cpu
    out = LoadOutcome(rate, seconds, answered=kinds.pop("200", 0), degraded=kinds.pop("degraded", 0))
    out.refused = kinds.pop("429", 0)
    out.failed = {kind: n for kind, n in kinds.items() if n}
    if latency:
        out.p50_ms, out.p99_ms, out.most_ms = (np.percentile(latency, [50, 99, 100]) * 1e3).round(2).tolist()
    out.generator_cpu_ms = round(1e3 * cpu / max(count, 1), 3)
    if late:
        out.generator_late_ms = round(float(np.percentile(late, 99)) * 1e3, 2)
    return out


def main(
    url: str,
    rate: Annotated[float, typer.Option(help="requests a second")] = 20.0,
    seconds: float = 10.0,
    users: Annotated[int, typer.Option(help="ids are drawn below it")] = 20_000,
    client: str = "homefeed",
    seed: int = 0,
) -> None:
    """Send requests at a constant rate and print what came of them, as JSON."""
    found: dict[str, Any] = asdict(asyncio.run(send(url, client, rate, seconds, users, seed)))
    print(json.dumps(found))


if __name__ == "__main__":
    typer.run(main)
