"""From a path to numbered lines of text and JSON objects, within limits; what is wrong becomes a Problem."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.limits import MAX_FILE_BYTES, MAX_LINE_BYTES
from nanosmith.data.problem import Problem
from nanosmith.data.reading import BadLine, Reading, json_type

BOM = b"\xef\xbb\xbf"
HEAD_BYTES = 8192
UNICODE_16_BOMS = (b"\xff\xfe", b"\xfe\xff")
PACKED = {b"PK\x03\x04": "a zip or Excel file", b"\x1f\x8b": "a gzip file", b"PAR1": "a Parquet file"}
SAVE_AS_UTF8 = "Save the file as UTF-8."
ONE_PER_LINE = "Write one whole JSON object per line."
MIB = 1024**2


def file_problem(path: Path) -> Problem | None:
    """What is wrong with the file as a whole, looking at its first bytes only; None when it can be read."""
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            return _error("folder", f"{path} is a folder", "Name a file in it.")
        if not stat.S_ISREG(status.st_mode):
            return _error("not_a_file", f"{path} is not a regular file", "Write its content to a file first.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except FileNotFoundError:
        return _error("missing_file", f"there is no file {path}", "Check the path.")
    except (OSError, ValueError) as error:
        return _error("unreadable_file", f"{path} cannot be read: {error}", "Check its name and permissions.")
    return _size_problem(status.st_size) or _content_problem(head)


def _size_problem(size_bytes: int) -> Problem | None:
    if size_bytes == 0:
        return _error("empty_file", "the file is empty", "Write one example per line.")
    if size_bytes > MAX_FILE_BYTES:
        message = f"the file is too large (got {size_bytes // MIB:,} MiB; allowed {MAX_FILE_BYTES // MIB:,} MiB)"
        return _error("large_file", message, "Use a sample of the lines, or split the file.")
    return None


def _content_problem(head: bytes) -> Problem | None:
    for magic, name in PACKED.items():
        if head.startswith(magic):
            return _error("binary_file", f"the file is {name}, not text", "Unpack or export it as JSONL or CSV.")
    if head.startswith(UNICODE_16_BOMS):
        return _error("binary_file", "the file is UTF-16, not UTF-8", SAVE_AS_UTF8)
    if b"\0" in head:
        return _error("binary_file", "the file holds zero bytes: it is not text", "Export it as JSONL or CSV in UTF-8.")
    return None


def text_lines(path: Path, reading: Reading) -> Iterator[tuple[int, str | None]]:
    """Every line with its 1-based number, without its line end; None for one that is too long or not UTF-8.

    No more than MAX_LINE_BYTES of a line are held in memory.
    """
    offset = 0
    with path.open("rb") as file:
        for number in range(1, MAX_FILE_BYTES + 2):
            content = file.readline(MAX_LINE_BYTES + 1)
            if not content or reading.is_full(number):
                return
            is_long = len(content) > MAX_LINE_BYTES and not content.endswith(b"\n")
            text: str | None = None
            with reading.line(number):
                text = _decoded(content, number, offset, is_long)
            yield number, text
            offset += len(content)
            while is_long and content and not content.endswith(b"\n"):
                content = file.readline(MAX_LINE_BYTES)
                offset += len(content)


def _decoded(content: bytes, number: int, offset: int, is_long: bool) -> str:
    if is_long:
        message = f"the line is longer than {MAX_LINE_BYTES // MIB} MiB"
        raise BadLine("long_line", message, "Write one example per line, each line ended by a line break.")
    start = len(BOM) if number == 1 and content.startswith(BOM) else 0
    try:
        return content[start:].decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        at = start + error.start
        place = f"byte {at + 1} of the line, byte {offset + at + 1:,} of the file"
        message = f"not UTF-8: 0x{content[at]:02x} at {place}"
        raise BadLine("not_utf8", message, SAVE_AS_UTF8) from None


def json_objects(path: Path, reading: Reading) -> Iterator[tuple[int, dict[str, Any]]]:
    """Every JSON object with the 1-based number of its line; blank lines are skipped, other lines become Problems."""
    for number, text in text_lines(path, reading):
        if text is not None and not text.strip():
            continue
        reading.rows += 1
        record = None
        with reading.line(number):
            record = None if text is None else decode_object(text)
        if record is not None:
            yield number, record


def decode_object(text: str) -> dict[str, Any]:
    """The JSON object that a line holds. Raises BadLine."""
    try:
        record = msgspec.json.decode(text)
    except RecursionError:
        raise BadLine("json_error", "the JSON is nested too deeply", "Write a flat object.") from None
    except msgspec.DecodeError as error:
        raise BadLine("json_error", _json_message(text, str(error)), ONE_PER_LINE) from None
    if not isinstance(record, dict):
        raise BadLine("not_an_object", f"the line is {json_type(record)}, not a JSON object", ONE_PER_LINE)
    return record


def _json_message(text: str, error: str) -> str:
    """The decoder's words with a column in characters, and what stands there."""
    found = re.search(r" \(byte (\d+)\)$", error)
    if not found:
        what = "the line ends too early" if "truncated" in error else error[:1].lower() + error[1:]
        return f"not JSON: {what}, column {len(text) + 1}"
    column = len(text.encode()[: int(found[1])].decode(errors="ignore"))
    what = error[: found.start()].removeprefix("JSON is malformed: ")
    return f"not JSON: {what}, column {column + 1}, near {text[max(0, column - 15) : column + 15]!r}"


def _error(code: str, message: str, remedy: str) -> Problem:
    return Problem("error", code, message, None, remedy)
