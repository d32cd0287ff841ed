"""What went wrong with S3, in words: it may pass by itself, or somebody must change a setting."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError

from nanosmith.core.errors import Misconfigured, NanosmithError, NotFound, Unavailable
from nanosmith.store.home import BLOBS_VARIABLE

STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>(\w+)</Code>")
METADATA = re.compile(r"/latest/(api|meta-data)/")
"""Where machines of a cloud ask for credentials; asked when no variable names any (as AWS's own clients do)."""
WRONG_REGION = "Received redirect"
PASSING_STATUS = ("408", "429")
PASSING_CODES = ("BadDigest", "IncompleteBody", "RequestTimeout", "XAmzContentSHA256Mismatch")
"""Refusals (400) of what was damaged or broken off on its way: the next try may arrive whole."""
SETTINGS = (
    f"Check {BLOBS_VARIABLE}, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL, that the "
    "bucket exists, and that it may be listed, read, written and deleted from."
)
AGAIN = "Try again later; if it stays so, check that AWS_ENDPOINT_URL can be reached from here."


@contextmanager
def s3_errors(url: str) -> Iterator[None]:
    """Turn the errors of requests inside into NotFound, Unavailable or Misconfigured; `url` tells of which storage."""
    try:
        yield
    except (BaseError, FileNotFoundError, ValueError) as error:
        raise _in_words(url, error) from error


def _in_words(url: str, error: Exception) -> NanosmithError:
    text = str(error)
    status, code = (found[1] if (found := pattern.search(text)) else None for pattern in (STATUS, CODE))
    if isinstance(error, FileNotFoundError) and code != "NoSuchBucket":
        return NotFound("no blob with this digest", where=url)
    if METADATA.search(text):
        return Misconfigured("no credentials for the blob storage", where=url, remedy=SETTINGS)
    if status is None:
        return _without_answer(url, text)
    got = f"status {status}" + (f", {code}" if code else "")
    if status >= "500" or status in PASSING_STATUS or code in PASSING_CODES:
        return Unavailable("the blob storage cannot do it now", where=url, got=got, remedy=AGAIN)
    return Misconfigured("the blob storage refuses", where=url, got=got, remedy=SETTINGS)


def _without_answer(url: str, text: str) -> NanosmithError:
    """A request that got no answer may pass; what was never sent cannot be sent with these settings."""
    if "Error performing" in text and WRONG_REGION not in text:
        return Unavailable("the blob storage does not answer", where=url, remedy=AGAIN)
    said = text.partition("\n")[0].strip()
    return Misconfigured("the blob storage cannot be used", where=url, got=said, remedy=SETTINGS)
