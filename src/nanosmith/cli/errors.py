"""From an exception to one line on stderr and an exit code.

    0    done
    1    failed, or a gate refused
    2    the input is wrong
    130  stopped by Ctrl-C

With --json the error is also printed on stdout, as `{"error": {"message", "code", "param"}}`.
NANOSMITH_DEBUG=1 shows the traceback instead.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from typer.exceptions import TyperException

from nanosmith.core.errors import InputError, NanosmithError, StorageFull

DEBUG = "NANOSMITH_DEBUG"
STOPPED = 130  # 128 + SIGINT, as shells report it


@contextmanager
def user_errors(*, as_json: bool) -> Iterator[None]:
    """Show whatever a user can cause or meet without a traceback; anything else is a bug and passes through."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(STOPPED) from None
    except (NanosmithError, TyperException, OSError) as error:
        if _is_debugging() or _is_closed_pipe(error):
            raise
        if isinstance(error, TyperException) and not error.format_message():
            raise typer.Exit(error.exit_code) from None  # a verb of a group is missing: the help was shown
        shown = as_nanosmith_error(error)
        say(str(shown))
        if as_json:
            typer.echo(json.dumps(error_object(shown), ensure_ascii=False))
        raise typer.Exit(shown.exit_code) from None


def say(text: str) -> None:
    """One red line on stderr; without colour where it is not a terminal or NO_COLOR is set."""
    typer.secho(f"nanosmith: {text}", fg="red", err=True, color=False if os.environ.get("NO_COLOR") else None)


def error_object(error: NanosmithError) -> dict[str, Any]:
    """The JSON form of an error: `{"error": {"message", "code", "param"}}`."""
    return {"error": {"message": str(error), "code": error.code, "param": error.param}}


def as_nanosmith_error(error: NanosmithError | TyperException | OSError) -> NanosmithError:
    """Wrong arguments become an InputError; what the operating system refused names its file."""
    if isinstance(error, NanosmithError):
        return error
    if isinstance(error, OSError):
        kind = StorageFull if error.errno in (errno.ENOSPC, errno.EDQUOT) else NanosmithError
        return kind(error.strerror or str(error), where=error.filename and str(error.filename))
    context = getattr(error, "ctx", None)
    return InputError(
        error.format_message().rstrip("."),
        remedy=f"See: {context.command_path} --help" if context else None,
        param=getattr(getattr(error, "param", None), "name", None),
    )


def _is_debugging() -> bool:
    return os.environ.get(DEBUG, "0") not in ("", "0")


def _is_closed_pipe(error: Exception) -> bool:
    """The reader of our output has gone (`| head`): Typer ends quietly."""
    return isinstance(error, OSError) and error.errno == errno.EPIPE
