"""`python -m nanosmith.testing.provider`: the fake provider by itself; its first line of output is its URL."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from nanosmith.core.errors import InputError, NanosmithError
from nanosmith.testing.provider.answers import read_table
from nanosmith.testing.provider.fake import source
from nanosmith.testing.provider.server import Provider


def main() -> None:
    options = _options()
    try:
        table = None if options.table is None else read_table(options.table)
        provider = Provider(
            source(table, options.model, options.default), faults=options.faults, seed=options.seed, key=options.key,
            price=_price(options.price),
        )  # fmt: skip
    except (NanosmithError, OSError) as error:
        sys.stderr.write(f"provider: {error}\n")
        sys.exit(2)
    asyncio.run(_serve(provider, options.port))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m nanosmith.testing.provider", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--model", help="a bundle's folder, which answers")
    parser.add_argument("--table", type=Path, help='JSON lines of {"text", "label"}, which answer')
    parser.add_argument("--default", default="unknown", help="the answer to what the table does not list")
    parser.add_argument("--faults", default="", help="such as 429=0.3:0.1,half=0.1,hang=0.01")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--key", help="the key that must be brought; none: any")
    parser.add_argument("--price", default="0/0", help="US dollars per million tokens, input/output")
    return parser.parse_args()


async def _serve(provider: Provider, port: int) -> None:
    server = await asyncio.start_server(provider.serve, "127.0.0.1", port, backlog=2048)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)  # noqa: T201
    async with server:
        await server.serve_forever()


def _price(text: str) -> tuple[float, float]:
    try:
        given, written = text.split("/")
        return float(given), float(written)
    except ValueError:
        raise InputError("not a price", got=repr(text), allowed="INPUT/OUTPUT, such as 0.5/1.5") from None


if __name__ == "__main__":
    main()
