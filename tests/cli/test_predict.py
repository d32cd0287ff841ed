"""`nanosmith predict` with a tiny bundle."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nanosmith.cli.main import app
from nanosmith.core.manifest import MANIFEST_NAME
from nanosmith.store.home import Home
from nanosmith.store.ledger import Ledger
from nanosmith.store.records import ModelRow
from nanosmith.testing import tiny_bundle
from nanosmith.testing.tiny import tiny_scope


@pytest.fixture
def bundle(tmp_path: Path) -> str:
    """A bundle that answers refund, login or delivery."""
    return str(tiny_bundle(tmp_path / "tiny").path)


def predict(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, ["predict", *arguments], input=stdin)


def test_json_lines(bundle: str) -> None:
    """With --json each text gives one object, in order, with value, confidence and the most probable labels."""
    result = predict(bundle, "my refund", "a login", "--json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 0
    assert (first["value"], second["value"]) == ("refund", "login")
    assert 0.9 < first["confidence"] <= 1
    assert next(iter(first["probabilities"])) == "refund"
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert (first["tokens"], first["truncated"]) == (2, False)


def test_only_five_probabilities(tmp_path: Path) -> None:
    """Of many labels the five most probable are shown, the answer first."""
    many = tiny_bundle(tmp_path / "many", [f"label{i}" for i in range(9)])
    shown = json.loads(predict(str(many.path), "label7", "--json").stdout)["probabilities"]
    assert (len(shown), next(iter(shown))) == (5, "label7")


def test_labels(tmp_path: Path) -> None:
    """A bundle for several labels answers a list, which may be empty."""
    several = str(tiny_bundle(tmp_path / "several", kind="labels").path)
    result = predict(several, "login and refund", "neither", "--json")
    assert [json.loads(line)["value"] for line in result.stdout.splitlines()] == [["login", "refund"], []]
    assert predict(several, "neither").stdout.startswith("(no label)")


def test_readable(bundle: str) -> None:
    """Without --json each answer is one line with the value, the confidence and the text."""
    assert predict(bundle, "delivery\ndelivery").stdout == "delivery  1.00  delivery delivery\n"


def test_long_text_is_reported(bundle: str) -> None:
    """A text beyond the limit is answered from its start, and the answer says so."""
    text = "refund " * 1000
    assert json.loads(predict(bundle, text, "--json").stdout)["truncated"] is True
    line = predict(bundle, text).stdout
    assert "(end not read)" in line
    assert len(line) < 200


def test_file_with_a_bad_line(bundle: str, tmp_path: Path) -> None:
    """A bad line gives an error object in its place, the others are answered, and the exit code is 2."""
    file = tmp_path / "texts.jsonl"
    file.write_text('{"text": "refund"}\n{"text": \n{"messages": [{"role": "user", "content": "login"}]}\n')
    result = predict(bundle, "--file", str(file), "--json")
    first, bad, last = map(json.loads, result.stdout.splitlines())
    assert result.exit_code == 2
    assert (first["value"], first["line"], last["value"], last["line"]) == ("refund", 1, "login", 3)
    assert (bad["line"], set(bad["error"])) == (2, {"message", "code", "param"})


def test_bad_line_without_json(bundle: str, tmp_path: Path) -> None:
    """Without --json a bad line is named on stderr, and stdout holds the answers alone."""
    file = tmp_path / "texts.txt"
    file.write_bytes(b"refund\n\xff\nlogin\n")
    result = predict(bundle, "--file", str(file))
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["refund", "login"]
    assert result.stderr.startswith("nanosmith: line 2: ")
    assert result.exit_code == 2


@pytest.mark.parametrize("arguments", [["-"], ["--file", "-"]])
def test_stdin(bundle: str, arguments: list[str]) -> None:
    """A dash reads stdin, as text or as file."""
    result = predict(bundle, *arguments, "--json", stdin="refund\nlogin\n")
    assert [json.loads(line)["value"] for line in result.stdout.splitlines()] == ["refund", "login"]


@pytest.mark.parametrize("arguments", [[], ["text", "--file", "f"]])
def test_texts_or_file(bundle: str, arguments: list[str]) -> None:
    """No texts at all, or texts and a file, is wrong input."""
    result = predict(bundle, *arguments, "--json")
    assert result.exit_code == 2
    assert "error" in json.loads(result.stdout)


def test_empty_text_is_answered(bundle: str) -> None:
    """An empty text is a text."""
    assert json.loads(predict(bundle, "", "--json").stdout)["value"] in ("delivery", "login", "refund")


def test_model_by_name(home: Home) -> None:
    """A model of the data folder is found by its name."""
    made = tiny_bundle(home.root / "bundles-tiny", name="support")
    ledger = Ledger(home.ledger)
    ledger.add_model(ModelRow("support", 1_700_000_000, str(made.path), made.digest, "none"))
    ledger.close()
    assert json.loads(predict("support", "refund", "--json").stdout)["value"] == "refund"


def test_absent_bundle(tmp_path: Path) -> None:
    """A bundle or model that does not exist is wrong input: exit code 2."""
    assert predict(str(tmp_path / "absent"), "text").exit_code == 2


def test_changed_byte(bundle: str) -> None:
    """A bundle with a changed byte is refused with exit code 1, and nothing is answered."""
    file = next(path for path in Path(bundle).iterdir() if path.name != MANIFEST_NAME)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    result = predict(bundle, "refund", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["code"] == "damaged_bundle"


def test_closed_pipe_is_quiet(bundle: str, tmp_path: Path) -> None:
    """When the reader goes away (`| head`), the command ends without a word on stderr."""
    file = tmp_path / "many.txt"
    file.write_text("refund\n" * 5000)
    command = [sys.executable, "-m", "nanosmith", "predict", bundle, "--file", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith("refund")
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=30) == 1


def test_no_torch(bundle: str) -> None:
    """Answering loads neither torch nor transformers nor the packages that only tuning needs."""
    code = (
        "import sys\n"
        "from nanosmith.cli.main import app\n"
        f"app(['predict', {bundle!r}, 'refund'], standalone_mode=False)\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("refund")
    assert not set(done.stderr.split()) & {"torch", "transformers", "sklearn", "nanosmith.recipes", "nanosmith.score"}


def test_out_of_scope(tmp_path: Path) -> None:
    """The answer is the label for it, the score and the flag stand beside it."""
    bundle = str(tiny_bundle(tmp_path / "scoped", scope=tiny_scope("none")).path)
    answers = [json.loads(line) for line in predict(bundle, "what is love", "my refund", "--json").stdout.splitlines()]
    assert [(answer["value"], answer["refused"]) for answer in answers] == [("none", True), ("refund", False)]
    assert answers[1]["out_of_scope"] < 0.5 <= answers[0]["out_of_scope"]
    assert "none" in predict(bundle, "what is love").stdout
    assert "(out of scope)" in predict(bundle, "what is love").stdout
