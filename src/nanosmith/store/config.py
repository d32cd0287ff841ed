"""nanosmith.toml: where it lies, what stands in it, and that it is read again when it changes."""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from nanosmith.core.budget import configured_budgets
from nanosmith.core.errors import InputError, NanosmithError, NotFound, did_you_mean
from nanosmith.core.route import Route, parse_routes
from nanosmith.store.home import Home

VARIABLE = "NANOSMITH_CONFIG"
FILE_NAME = "nanosmith.toml"
TABLES = ("route", "provider", "remote", "budget")
"""What may stand at the top: `[route.NAME]`, `[provider.NAME]`, `remote = [PATTERN, …]`, `[budget]`."""
log = logging.getLogger("nanosmith.config")


class Config(msgspec.Struct, frozen=True):
    """What the file says; without a file, nothing. `providers` and `budgets` are the tables as they stand, for those
    who know their keys. `remote` are patterns of remote models that may be called by their own names, without a route.
    """

    path: Path | None = None
    routes: dict[str, Route] = {}
    remote: tuple[str, ...] = ()
    providers: Mapping[str, Any] = {}
    budgets: Mapping[str, Any] = {}


def find_config(home: Home | None = None) -> Path | None:
    """$NANOSMITH_CONFIG, else ./nanosmith.toml, else that of the data folder. Raises NotFound where the variable names
    none."""
    if named := os.environ.get(VARIABLE):
        path = Path(named).expanduser()
        if not path.is_file():
            raise NotFound(f"${VARIABLE} names no file", got=named)
        return path
    folders = [Path.cwd(), *([home.root] if home else [])]
    return next((folder / FILE_NAME for folder in folders if (folder / FILE_NAME).is_file()), None)


def read_config(path: Path | None) -> Config:
    """Raises InputError naming the file, the table, the key, what it is and what it may be."""
    if path is None:
        return Config()
    content = _content(path)
    for name in content:
        if name not in TABLES:
            raise InputError(
                "unknown key", where=str(path), got=name, allowed=", ".join(TABLES), remedy=did_you_mean(name, TABLES)
            )
    for name in ("route", "provider", "budget"):
        if not isinstance(content.get(name, {}), dict):
            raise InputError("not a table", where=f"{path}: {name}", got=repr(content[name])[:80], allowed=f"[{name}]")
    routes = parse_routes(content.get("route", {}), str(path))
    budgets = content.get("budget", {})
    try:
        configured_budgets(budgets, routes.values())
    except InputError as error:
        raise InputError(str(error), where=str(path), param=error.param) from error
    return Config(path, routes, _patterns(content.get("remote", []), path), content.get("provider", {}), budgets)


def _content(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    except UnicodeDecodeError as error:
        raise InputError("not UTF-8", where=str(path)) from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not valid TOML: {error}", where=str(path)) from error
    except RecursionError:
        raise InputError("nested too deeply", where=str(path)) from None


def _patterns(given: object, path: Path) -> tuple[str, ...]:
    if isinstance(given, list) and all(isinstance(one, str) and "/" in one for one in given):
        return tuple(given)
    raise InputError(
        "not a list of remote models", where=f"{path}: remote", got=repr(given), allowed='such as ["openai/*"]'
    )


class WatchedConfig:
    """The configuration as it stands now. A file that cannot be used is logged once, kept as `problem`, and what was
    read before stays."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._seen: tuple[Path, int, int] | None = None
        self.config = Config()
        self.problem: NanosmithError | None = None
        self.refresh()

    def refresh(self) -> bool:
        """Read the file again if it is another one than before; whether it was read anew."""
        try:
            path = find_config(self._home)
            seen = self._stamp(path)
            if seen == self._seen and (seen is not None or self.problem is None):
                return False
            self._seen = seen
            self.config, self.problem = read_config(path), None
        except NanosmithError as error:
            if str(error) != str(self.problem):
                log.error("the configuration cannot be used, what was read before stays: %s", error)
            self.problem = error
            return False
        return True

    @staticmethod
    def _stamp(path: Path | None) -> tuple[Path, int, int] | None:
        """What tells one state of the file from another: its place, its time of change (ns) and its size (bytes)."""
        if path is None:
            return None
        try:
            state = path.stat()
        except OSError:
            return None
        return path, state.st_mtime_ns, state.st_size
