"""Public helpers for tests: a fake predictor, tiny data sets and bundles, a scripted text model and a slow flow.

`faults` breaks things.

bundle = tiny_bundle(folder, ["refund", "login"])       # answers the label whose name the text contains
write_chat(path, [("where is my refund", "refund"), …])
"""

from nanosmith.testing.scripted import scripted_bundle
from nanosmith.testing.slow import FakeTuned, slow_tune
from nanosmith.testing.tiny import TOPICS, UNKNOWN, FakePredictor, tiny_bundle, topic_rows, write_chat

__all__ = [
    "TOPICS", "UNKNOWN", "FakePredictor", "FakeTuned", "scripted_bundle", "slow_tune", "tiny_bundle", "topic_rows",
    "write_chat",
]  # fmt: skip
