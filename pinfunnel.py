"""`python -m pinfunnel` is the command; `pinfunnel.Funnel`, `AsyncFunnel` and `open` are for programs and notebooks.

What is asked for is imported then: a program that only calls a server loads no Ray, torch or NumPy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apps.api_client.aio import AsyncFunnelClient as AsyncFunnel
    from apps.api_client.sync import FunnelClient as Funnel
    from apps.local_funnel import open_funnel as open

__all__ = ["AsyncFunnel", "Funnel", "open"]

WHERE = {
    "AsyncFunnel": ("apps.api_client.aio", "AsyncFunnelClient"),
    "Funnel": ("apps.api_client.sync", "FunnelClient"),
    "open": ("apps.local_funnel", "open_funnel"),
}


def __getattr__(name: str) -> Any:
    if name not in WHERE:
        raise AttributeError(f"module 'pinfunnel' has no attribute {name!r}: it has {', '.join(__all__)}")
    from importlib import import_module

    module, inner = WHERE[name]
    return getattr(import_module(module), inner)


if __name__ == "__main__":
    from apps.cli import main

    main()
