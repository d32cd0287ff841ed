"""The command as a whole: what it imports, and how every error is shown."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner, Result

from nanosmith.cli.main import Verbs, app
from nanosmith.core.errors import Damaged, GateRefused, InputError, MissingExtra, NanosmithError, NotFound, StorageFull
from nanosmith.version import __version__

VERBS = ("check", "tune", "eval", "predict", "serve", "ls", "show")
HEAVY = {
    "numpy", "torch", "transformers", "onnxruntime", "tokenizers", "sqlalchemy", "starlette", "uvicorn",
    "nanosmith.data", "nanosmith.score", "nanosmith.predict", "nanosmith.recipes", "nanosmith.flows",
    "nanosmith.server", "nanosmith.store",
}  # fmt: skip
IMPORTED = "import sys; print(*sys.modules, file=sys.stderr)"


def run_failing(error: BaseException, *arguments: str) -> Result:
    """Run a verb that raises `error`, shown as any verb's error is."""
    small = typer.Typer(cls=Verbs, pretty_exceptions_enable=False)

    @small.callback()
    def root() -> None:
        pass

    @small.command()
    def fail(as_json: bool = typer.Option(False, "--json"), count: int = 1) -> None:
        raise error

    return CliRunner().invoke(small, ["fail", *arguments])


def loaded_by(code: str) -> set[str]:
    """Names of modules that are loaded after `code` in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", f"{code}\n{IMPORTED}"], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_all_verbs_are_there() -> None:
    """The help names every verb that scripts rely on."""
    shown = CliRunner().invoke(app, ["--help"]).stdout
    assert [verb for verb in VERBS if verb not in shown.split()] == []


def test_import_is_light() -> None:
    """`import nanosmith` loads nothing heavy, and no part of the package but its version."""
    loaded = loaded_by("import nanosmith")
    assert not loaded & HEAVY
    assert {name for name in loaded if name.startswith("nanosmith.")} == {"nanosmith.version"}


def test_help_is_light() -> None:
    """The help of the command and of each verb loads nothing heavy."""
    calls = [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS)]
    loaded = loaded_by(
        "from nanosmith.cli.main import app\n"
        f"for call in {calls!r}:\n"
        "    app(call, standalone_mode=False)\n"
    )  # fmt: skip
    assert "nanosmith.cli.tune" in loaded
    assert not loaded & HEAVY


def test_version() -> None:
    """`python -m nanosmith --version` prints the version."""
    done = subprocess.run([sys.executable, "-m", "nanosmith", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"nanosmith {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("wrong"), 2),
        (NotFound("absent"), 2),
        (Damaged("changed"), 1),
        (GateRefused("too low"), 1),
        (StorageFull("full"), 1),
        (MissingExtra("torch", "train"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "/readonly/model"), 1),
    ],
)
def test_errors_are_one_line(error: Exception, code: int) -> None:
    """An error a user can meet is one line on stderr and an exit code, without a traceback."""
    result = run_failing(error)
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("nanosmith: ")
    assert result.stderr.count("\n") == 1


def test_refused_by_the_system_names_the_file() -> None:
    """What the operating system refuses is shown with the file it is about."""
    assert (
        "/readonly/model: Permission denied"
        in run_failing(OSError(errno.EACCES, "Permission denied", "/readonly/model")).stderr
    )


def test_json_error() -> None:
    """With --json an error is also one JSON object on stdout."""
    result = run_failing(InputError("wrong", code="bad_thing", param="thing"), "--json")
    assert json.loads(result.stdout) == {"error": {"message": "wrong", "code": "bad_thing", "param": "thing"}}
    assert "wrong" in result.stderr


def test_wrong_arguments_as_json() -> None:
    """A wrong option is an input error too: exit code 2, named in the JSON object, with a pointer to the help."""
    result = run_failing(AssertionError("must not run"), "--json", "--count", "many")
    shown = json.loads(result.stdout)["error"]
    assert (result.exit_code, shown["code"], shown["param"]) == (2, "invalid_value", "count")
    assert "fail --help" in shown["message"]


def test_mistyped_verb() -> None:
    """A verb that does not exist ends with exit code 2 and names a near one."""
    result = CliRunner().invoke(app, ["predikt"])
    assert result.exit_code == 2
    assert "'predict'" in result.stderr


def test_group_without_a_verb() -> None:
    """The help of the group is shown, with exit code 2 and no empty error."""
    result = CliRunner().invoke(app, ["budgets"])
    assert result.exit_code == 2
    assert "release" in result.output
    assert "nanosmith: " not in result.stderr


def test_interrupt() -> None:
    """Ctrl-C says "stopped" and exits with 130, as shells expect."""
    result = run_failing(KeyboardInterrupt())
    assert (result.exit_code, result.stderr) == (130, "nanosmith: stopped\n")


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """NANOSMITH_DEBUG=1 lets the exception through; so does every exception that is a bug."""
    assert isinstance(run_failing(ZeroDivisionError()).exception, ZeroDivisionError)
    monkeypatch.setenv("NANOSMITH_DEBUG", "1")
    assert isinstance(run_failing(NanosmithError("failed")).exception, NanosmithError)
