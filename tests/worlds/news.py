"""A small news site before pinfunnel: what it showed, slot by slot, and the clicks that followed. String ids."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ARTICLES, READERS, TOPICS = 200, 50, 5
SLOTS = 8
QUIET_DAYS, DAYS = 10, 20
"""Of the first days only the clicks are known."""
REQUESTS_EACH = 8
DAY_US = 86_400 * 10**6
START_US = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e6)
YAML = """
ids: string
actions: [click]
negative_actions: []
data:
  edges: {path: reads.parquet, columns: {board_id: reader, pin_id: article, saved_at: at}}
  pins: {path: articles.parquet, columns: {pin_id: article, topics: sections, created_at: published}}
  events: {path: clicks.parquet, columns: {user_id: reader, pin_id: article, action: what, occurred_at: at,
    request_id: page_view}}
  impressions: {path: shown.parquet, columns: {request_id: page_view, user_id: reader, pin_id: article,
    position: slot, shown_at: at, client: page}}
clients: clients
graph: {partitions: 2}
ranker: {size: debug, epochs: 4}
gbdt: {rounds: 20, min_child_weight: 1.0}
"""
CLIENT = """
about: The front page.
walk: {steps: 5000}
query: {source: user, max_pins: 20, half_life_hours: 168, actions: {click: 1.0}}
sizes: {walk: 60, lightweight: 40, answer: 8, explore: 0}
labels: {strategy: funnel_blended, action_weights: {click: 1.0}}
utility: {click: 1.0}
"""


@dataclass
class News:
    """What happened: clicks (reader, article, microseconds, page view or None), and what each page view showed."""

    clicks: list[tuple[str, str, int, str | None]] = field(default_factory=list)
    shown: dict[str, tuple[str, int, list[str]]] = field(default_factory=dict)  # page view → reader, time, articles

    def slow_labels(self, hours: float = 24.0) -> dict[str, set[str]]:
        """The articles that each page view led to, by going through all of them for every click."""
        out: dict[str, set[str]] = {view: set() for view in self.shown}
        for reader, article, at, named in self.clicks:
            views = [
                (when, view)
                for view, (who, when, articles) in self.shown.items()
                if who == reader and article in articles and 0 <= at - when <= hours * 3.6e9
            ]
            view = named or (max(views)[1] if views else None)
            if view:
                out[view].add(article)
        return out


def write_news(folder: Path, seed: int = 0) -> News:
    """The site's Parquet files and `pinfunnel.yaml` in `folder`. Readers like one section; the top slots do better.

    A click puts an article on the reader's board, its publication on that of its section: until the graph is built
    again, it does not know the newest articles.
    """
    rng = np.random.default_rng(seed)
    published = rng.uniform(-10, DAYS - 2, ARTICLES)
    taste = rng.integers(0, TOPICS, READERS)
    names = np.array([f"N{i}" for i in range(ARTICLES)])
    news = News()

    def likes(reader: int) -> np.ndarray:
        liked: np.ndarray = np.where(np.arange(ARTICLES) % TOPICS == taste[reader], 0.6, 0.06)
        return liked

    for reader in range(READERS):
        who = f"reader {reader}"
        for day in np.sort(rng.uniform(0, QUIET_DAYS, 12)):
            there = np.flatnonzero(published < day)
            article = rng.choice(there, p=likes(reader)[there] / likes(reader)[there].sum())
            news.clicks.append((who, str(names[article]), START_US + int(day * DAY_US), None))
        for visit, day in enumerate(np.sort(rng.uniform(QUIET_DAYS, DAYS, REQUESTS_EACH))):
            fresh = np.flatnonzero((published < day) & (published > day - 14))
            articles = rng.choice(fresh, SLOTS, replace=False)
            at, view = START_US + int(day * DAY_US), f"{reader}-{visit}"
            news.shown[view] = who, at, [str(name) for name in names[articles]]
            clicked = rng.random(SLOTS) < likes(reader)[articles] * 0.8 ** np.arange(SLOTS)
            for slot in np.flatnonzero(clicked):
                moment = at + int(slot) * 10**6
                news.clicks.append((who, str(names[articles[slot]]), moment, view if visit % 2 else None))
    _write(folder, news, names, published)
    return news


def _write(folder: Path, news: News, names: np.ndarray, published: np.ndarray) -> None:
    (folder / "clients").mkdir(parents=True)
    (folder / "clients" / "front.yaml").write_text(CLIENT)
    (folder / "pinfunnel.yaml").write_text(YAML)
    readers, articles, at, views = (list(column) for column in zip(*news.clicks, strict=True))
    clicks = {"reader": readers, "article": articles, "at": _times(at)}
    made = _times(START_US + (published * DAY_US).astype(np.int64))
    desks = {"reader": [f"section {i % TOPICS}" for i in range(len(names))], "article": names, "at": made}
    pq.write_table(pa.concat_tables([pa.table(clicks), pa.table(desks)]), folder / "reads.parquet")
    clicks |= {"what": ["click"] * len(at), "page_view": pa.array(views, pa.string())}
    pq.write_table(pa.table(clicks), folder / "clicks.parquet")
    sections = pa.array([[f"s{i % TOPICS}"] for i in range(len(names))])
    pq.write_table(pa.table({"article": names, "sections": sections, "published": made}), folder / "articles.parquet")
    rows = [
        (view, who, article, slot, when)
        for view, (who, when, shown) in news.shown.items()
        for slot, article in enumerate(shown)
    ]
    columns = dict(
        zip(("page_view", "reader", "article", "slot", "at"), map(list, zip(*rows, strict=True)), strict=True)
    )
    columns |= {"at": _times(columns["at"]), "page": ["front"] * len(rows)}
    pq.write_table(pa.table(columns), folder / "shown.parquet")


def _times(us: list[int] | np.ndarray) -> pa.Array:
    return pa.array(np.asarray(us, np.int64)).cast(pa.timestamp("us", tz="UTC"))
