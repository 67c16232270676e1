"""A campaign: millions of inputs for one target, guided by coverage (atheris, libFuzzer).

    make fuzz FUZZ_SECONDS=60                         every target, and its corpus written anew
    python -m tests.fuzz.campaign TARGET SECONDS [SEED]
    python -m tests.fuzz.campaign TARGET keep         write the smallest set that reaches as far

A crash ends the campaign; its input lies in .fuzz/TARGET and belongs, with a name that says what it
is, into tests/fuzz/corpus/TARGET, which test_targets.py runs.

Runs in: a process of its own; atheris instruments what is imported under it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import atheris

with atheris.instrument_imports(include=["muleteer"]):
    from tests.fuzz.seeds import CORPUS, seeds
    from tests.fuzz.targets import TARGETS, Target

Step = tuple[str, int, int]

WORK = Path(".fuzz")


def main(name: str, what: str, seed: str = "1") -> None:
    """Fuzz one target, which never returns, or keep what was found."""
    found = WORK / name
    found.mkdir(parents=True, exist_ok=True)
    if what == "keep":
        _keep(name, found)
        return
    for number, data in enumerate(seeds(name)):
        (found / f"seed{number}").write_bytes(data)
    options = [f"-max_total_time={what}", f"-seed={seed}", "-print_final_stats=1"]
    _run(name, [*options, "-max_len=8192", "-timeout=10", str(found)])


def _keep(name: str, found: Path) -> None:
    """Write the smallest inputs that together take every step between two lines that all take."""
    inputs = {path.read_bytes() for path in found.iterdir() if "crash" not in path.name}
    taken: set[Step] = set()
    lines = []
    for data in sorted(inputs, key=lambda one: (len(one), one)):
        steps = _steps(TARGETS[name], data)
        if data and not steps <= taken:
            taken |= steps
            lines.append(data.hex())
    (CORPUS / f"{name}.hex").write_text("\n".join([*lines, ""]))


def _steps(target: Target, data: bytes) -> set[Step]:
    """Which line of the wire rooms follows which while the target reads some bytes."""
    steps: set[Step] = set()
    before: dict[FrameType, int] = {}

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        if "/muleteer/wire/" not in frame.f_code.co_filename:
            return None
        if event == "line":
            steps.add((frame.f_code.co_filename, before.get(frame, 0), frame.f_lineno))
            before[frame] = frame.f_lineno
        return trace

    sys.settrace(trace)
    try:
        target(data)
    finally:
        sys.settrace(None)
    return steps


def _run(name: str, options: list[str]) -> None:
    arguments = [sys.argv[0], f"-artifact_prefix={WORK / name}/crash-", *options]
    atheris.Setup(arguments, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
