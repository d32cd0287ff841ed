"""A provider that misbehaves as it is told: OpenAI's chat completions over real HTTP, with faults at given rates.

with FakeProvider(table={"where is my money?": "refund"}, faults="429=0.3:0.1,half=0.1", seed=7) as provider:
    openai.OpenAI(base_url=provider.url, api_key="any")      # or the remote model f"{provider.url}#big"
    provider.seen()["requests"]

python -m nanosmith.testing.provider --port 0 --table FILE --faults '429=0.3,reset=0.05' runs it by itself.
"""

from nanosmith.testing.provider.fake import FakeProvider
from nanosmith.testing.provider.faults import parse_faults

__all__ = ["FakeProvider", "parse_faults"]
