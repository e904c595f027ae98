"""The hidden truth of the synthetic world: what pins, boards and users are really like. NumPy only.

The funnel never sees these arrays. It sees what `apps/world/world.py` writes: noisy, partly missing columns drawn
from them. Every choice here has its reason in docs/world.md.
"""

from dataclasses import dataclass

import numpy as np

TOPICS = (
    "recipes",
    "baking",
    "gardens",
    "interiors",
    "diy",
    "fashion",
    "hair",
    "makeup",
    "weddings",
    "travel",
    "hiking",
    "camping",
    "fitness",
    "running",
    "yoga",
    "cars",
    "bikes",
    "art",
    "tattoos",
    "photography",
    "books",
    "games",
    "parenting",
    "pets",
)
LOCALES = ("en", "es", "de", "fr", "pt")
LOCALE_SHARE = (0.45, 0.20, 0.15, 0.12, 0.08)
FORMATS = ("photo", "video", "article")
FORMAT_SHARE = (0.6, 0.2, 0.2)
DEVICES = ("phone", "tablet", "desktop")
DEVICE_SHARE = (0.7, 0.1, 0.2)
STYLES = 6
DOMAINS = 150
NO_LOCALE = -1
PIN_DAYS = 365.0
"""Pins were created in the year before day 0, the day on which the funnel starts."""


@dataclass(frozen=True)
class Pins:
    """n pins. `topics` has 1 for the main topic and 0.5 for a second one; `style` rows have unit length."""

    topics: np.ndarray  # float32[n, T]
    main: np.ndarray  # int16[n]: the main topic
    style: np.ndarray  # float32[n, STYLES]
    quality: np.ndarray  # float32[n], mean 0, sd 1
    bait: np.ndarray  # float32[n], mean 0, sd 1: promises more than it holds
    locale: np.ndarray  # int8[n], NO_LOCALE for pins without text
    format: np.ndarray  # int8[n]
    domain: np.ndarray  # int16[n]
    created: np.ndarray  # float64[n]: days, all below 0
    appeal: np.ndarray  # float32[n]: log weight of being saved, from popularity, quality and age


@dataclass(frozen=True)
class Users:
    """n users. `interests` rows have their largest value at 1."""

    interests: np.ndarray  # float32[n, T]
    style: np.ndarray  # float32[n, STYLES]
    locale: np.ndarray  # int8[n]
    device: np.ndarray  # int8[n]
    generosity: np.ndarray  # float32[n]: added to every positive action's logit
    activity: np.ndarray  # float64[n], sums to 1: share of visits
    fresh: np.ndarray  # bool[n]: joined on day 0, no history


@dataclass(frozen=True)
class Boards:
    """n boards of one or two topics."""

    main: np.ndarray  # int16[n]
    second: np.ndarray  # int16[n], -1 for none
    style: np.ndarray  # float32[n, STYLES]
    locale: np.ndarray  # int8[n]
    size: np.ndarray  # int32[n]: pins wanted
    created: np.ndarray  # float64[n], days


@dataclass(frozen=True)
class Latent:
    """The whole hidden world."""

    pins: Pins
    users: Users
    boards: Boards


def draw_latent(rng: np.random.Generator, pins: int, boards: int, users: int) -> Latent:
    """A world of the given sizes; the same generator state gives the same world."""
    share = _topic_share()
    return Latent(_draw_pins(rng, pins, share), _draw_users(rng, users, share), _draw_boards(rng, boards, share))


def save_logits(pins: Pins, pool: np.ndarray, style: np.ndarray, locale: int) -> np.ndarray:
    """Log weights, float64[len(pool)], with which a collector of one style and locale picks from `pool`."""
    foreign = (pins.locale[pool] != NO_LOCALE) & (pins.locale[pool] != locale)
    likeness = np.einsum("ps,s->p", pins.style[pool], style)  # not `@`: BLAS threads cost more than products this small
    return np.asarray(pins.appeal[pool] + 1.5 * likeness - 1.0 * foreign, np.float64)


def _topic_share() -> np.ndarray:
    weight = 1.0 / np.arange(1, len(TOPICS) + 1) ** 0.5
    return np.asarray(weight / weight.sum())


def _unit(matrix: np.ndarray) -> np.ndarray:
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def _draw_pins(rng: np.random.Generator, n: int, share: np.ndarray) -> Pins:
    main = rng.choice(len(TOPICS), n, p=share)
    second = rng.choice(len(TOPICS), n, p=share)
    topics = np.zeros((n, len(TOPICS)), np.float32)
    topics[np.arange(n), second] = 0.5 * (rng.random(n) < 0.4)
    topics[np.arange(n), main] = 1.0
    domain = np.minimum(rng.zipf(1.5, n), DOMAINS) - 1
    domain_mean = rng.normal(0.0, 0.5, DOMAINS)
    quality = domain_mean[domain] + rng.normal(0.0, np.sqrt(0.75), n)
    quality = (quality - quality.mean()) / quality.std()
    created = -PIN_DAYS * rng.random(n) ** 1.3  # more of the pins are young: the site grows
    popularity = np.minimum(rng.exponential(1 / 1.3, n), 6.0)  # log of a Pareto with exponent 1.3
    appeal = popularity + 0.35 * quality + np.log(-created / PIN_DAYS + 0.02)
    locale = rng.choice(len(LOCALES), n, p=LOCALE_SHARE)
    locale[rng.random(n) < 0.15] = NO_LOCALE
    return Pins(
        topics=topics,
        main=main.astype(np.int16),
        style=_unit(rng.normal(size=(n, STYLES))),
        quality=quality.astype(np.float32),
        bait=rng.normal(size=n).astype(np.float32),
        locale=locale.astype(np.int8),
        format=rng.choice(len(FORMATS), n, p=FORMAT_SHARE).astype(np.int8),
        domain=domain.astype(np.int16),
        created=created,
        appeal=appeal.astype(np.float32),
    )


def _draw_users(rng: np.random.Generator, n: int, share: np.ndarray) -> Users:
    interests = np.zeros((n, len(TOPICS)), np.float32)
    for row in interests:
        liked = rng.choice(len(TOPICS), min(1 + rng.poisson(2.0), 5), replace=False, p=share)
        row[liked] = np.sort(rng.uniform(0.4, 1.0, len(liked)))[::-1]
        row[liked[0]] = 1.0
    activity = rng.lognormal(0.0, 0.6, n)
    return Users(
        interests=interests,
        style=_unit(rng.normal(size=(n, STYLES))),
        locale=rng.choice(len(LOCALES), n, p=LOCALE_SHARE).astype(np.int8),
        device=rng.choice(len(DEVICES), n, p=DEVICE_SHARE).astype(np.int8),
        generosity=rng.normal(0.0, 0.5, n).astype(np.float32),
        activity=activity / activity.sum(),
        fresh=rng.random(n) < 0.05,
    )


def _draw_boards(rng: np.random.Generator, n: int, share: np.ndarray) -> Boards:
    second = rng.choice(len(TOPICS), n, p=share)
    second[rng.random(n) >= 0.3] = -1
    return Boards(
        main=rng.choice(len(TOPICS), n, p=share).astype(np.int16),
        second=second.astype(np.int16),
        style=_unit(rng.normal(size=(n, STYLES))),
        locale=rng.choice(len(LOCALES), n, p=LOCALE_SHARE).astype(np.int8),
        size=np.clip(rng.lognormal(3.3, 0.9, n), 4, 400).astype(np.int32),
        created=-PIN_DAYS * rng.random(n),
    )
