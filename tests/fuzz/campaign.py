"""A campaign: millions of inputs for one target, guided by coverage (atheris, libFuzzer).

    make fuzz FUZZ_SECONDS=60                         every target, and its corpus written anew
    python -m tests.fuzz.campaign TARGET SECONDS [SEED]
    python -m tests.fuzz.campaign TARGET keep         write the smallest set that reaches as far

A crash ends the campaign; its input lies in .fuzz/TARGET and belongs, with a name that says what it
is, into tests/fuzz/corpus/TARGET, which test_targets.py runs.

Runs in: a process of its own; atheris instruments what is imported under it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["muleteer"]):
    from tests.fuzz.seeds import CORPUS, seeds
    from tests.fuzz.targets import TARGETS

WORK = Path(".fuzz")


def main(name: str, what: str, seed: str = "1") -> None:
    """Fuzz one target or keep what was found; never returns, libFuzzer ends the process."""
    found, kept = WORK / name, WORK / f"{name}.kept"
    found.mkdir(parents=True, exist_ok=True)
    if what == "keep":
        _merge(name, found, kept)
        return
    for number, data in enumerate(seeds(name)):
        (found / f"seed{number}").write_bytes(data)
    options = [f"-max_total_time={what}", f"-seed={seed}", "-print_final_stats=1"]
    _run(name, [*options, "-max_len=8192", "-timeout=10", str(found)])


def _merge(name: str, found: Path, kept: Path) -> None:
    """Let libFuzzer choose, in a child since it never returns, and write what it chose as lines."""
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    child = os.fork()
    if child == 0:
        _run(name, ["-merge=1", str(kept), str(found)])
    os.waitpid(child, 0)
    chosen = sorted((path.read_bytes() for path in kept.iterdir()), key=lambda one: (len(one), one))
    lines = [data.hex() for data in chosen if data]
    (CORPUS / f"{name}.hex").write_text("\n".join([*lines, ""]))


def _run(name: str, options: list[str]) -> None:
    arguments = [sys.argv[0], f"-artifact_prefix={WORK / name}/crash-", *options]
    atheris.Setup(arguments, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
