"""Rules of the house that no linter checks."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from nanosmith.cli.main import app
from nanosmith.core.registry import BUILT_IN
from nanosmith.version import __version__

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
WRITTEN = {".md", ".py", ".toml", ".txt", ".html", ".css", ".js", ".cfg", ""}
FOLDERS = ("src", "tests", "docs", "bench", ".ci")
MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 60
MACHINE_PATH = re.compile(r"""(?<![\w.~/:}-])/(?:home|root|Users|work|mnt|tmp)/\w+""")
GROUP_PACKAGES = {
    "predictors": "nanosmith.predict",
    "recipes": "nanosmith.recipes",
    "readers": "nanosmith.data.readers",
    "dialects": "nanosmith.predict.endpoint.dialects",
}


def written_files() -> list[Path]:
    """Everything that people wrote; not data, not what tools leave behind."""
    top = [path for path in ROOT.iterdir() if path.is_file()]
    inner = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()]
    return [path for path in top + inner if path.suffix in WRITTEN and "__pycache__" not in path.parts]


def commands_in(page: Path) -> list[list[str]]:
    """The `nanosmith …` and `make …` lines of a page's code blocks, split into words."""
    blocks = re.findall(r"^```(?:\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    lines = [line.split(" | ")[-1] for block in blocks for line in block.splitlines()]
    words = [shlex.split(line, comments=True) for line in lines if re.match(r"\s*(nanosmith|make) [a-z-]", line)]
    return [[word for word in line if word not in ("$", "&")] for line in words]


def test_imports_follow_the_tree() -> None:
    """import-linter finds no import that goes up the tree."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("group", BUILT_IN)
def test_registered_names_lie_in_their_package(group: str) -> None:
    """The linter cannot see the registry's strings: each target is a file of the package of its group."""
    for target in BUILT_IN[group].values():
        module = target.partition(":")[0]
        assert module.startswith(GROUP_PACKAGES[group] + ".")
        assert (ROOT / "src" / (module.replace(".", "/") + ".py")).is_file(), target


def test_every_page_is_linked() -> None:
    """Each page in docs is linked from an index: docs/README.md, or the one of the decisions."""
    for index in (ROOT / "docs" / "README.md", ROOT / "docs" / "decisions" / "README.md"):
        linked = set(re.findall(r"\]\(([^)#]+)", index.read_text(encoding="utf-8")))
        pages = {path.name for path in index.parent.iterdir() if path.is_file() and path != index}
        assert pages <= linked, f"{index} does not link {sorted(pages - linked)}"


def test_links_lead_somewhere() -> None:
    """Each relative link of a page names a file that exists."""
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        prose = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose):
            if "://" not in link and not link.startswith("mailto:"):
                assert (page.parent / link).exists(), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documented_commands_exist(page: Path) -> None:
    """Every `nanosmith VERB --option` and `make TARGET` in a page's code blocks exists."""
    verbs = get_command(app).commands  # type: ignore[attr-defined]
    targets = set(re.findall(r"^([a-z-]+):(?!=)", (ROOT / "Makefile").read_text(), flags=re.M))
    for program, *words in commands_in(page):
        if program == "make":
            assert words[0] in targets, words
        elif not words[0].startswith("-"):
            assert words[0] in verbs, words
            verb = verbs[words[0]]
            if hasattr(verb, "commands"):  # such as `keys add`
                assert words[1] in verb.commands, words
                verb = verb.commands[words[1]]
            known = {option for parameter in verb.params for option in parameter.opts} | {"--help"}
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, words


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT / "src").as_posix())
def test_files_and_functions_are_short(path: Path) -> None:
    """No source file is over 450 lines, no function over 60."""
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name


def test_no_path_of_one_machine() -> None:
    """No file that people wrote names a folder of the machine it was written on."""
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in written_files()
        if path != Path(__file__)
        for match in MACHINE_PATH.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_version_is_in_the_changelog() -> None:
    """The changelog has a section for the version that the package tells."""
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
