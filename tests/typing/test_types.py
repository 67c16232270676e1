"""The public types, read by the type checker as a user's would be."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@pytest.fixture(scope="module")
def errors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, str]]:
    """What `mypy --strict` says of the files beside this one: file to line to message."""
    files = [HERE / "decorated.py", HERE / "misused.py"]
    cache = tmp_path_factory.mktemp("cache")
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-pretty"]
    command += ["--config-file", "pyproject.toml", "--cache-dir", str(cache), "--no-color-output"]
    ran = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    found: dict[str, dict[int, str]] = {}
    for path, line, message in re.findall(r"^(.+?):(\d+): error: (.+)$", ran.stdout, re.MULTILINE):
        found.setdefault(Path(path).name, {})[int(line)] = message
    return found


def test_a_strict_user_may_write_what_the_documentation_shows(
    errors: dict[str, dict[int, str]],
) -> None:
    """Decorated functions keep their signatures and results, and `.spool` has types."""
    assert errors.get("decorated.py", {}) == {}


def test_a_strict_user_is_told_of_mistakes(errors: dict[str, dict[int, str]]) -> None:
    """Every line that is marked as wrong is refused, and no other."""
    lines = (HERE / "misused.py").read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if "# wrong:" in line}
    assert set(errors.get("misused.py", {})) == wrong


def test_our_own_code_is_right_as_a_user_s_checker_reads_it(
    errors: dict[str, dict[int, str]],
) -> None:
    """No error is in the package itself."""
    assert set(errors) <= {"decorated.py", "misused.py"}
