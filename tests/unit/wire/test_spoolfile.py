"""wire/spoolfile.py: uWSGI's bytes for what fits, ours beyond, and every way to be broken."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muleteer.errors import BadTask, Malformed, Truncated
from muleteer.wire.spoolfile import OVERFLOW, SpoolTask, decode_task, encode_task

DATA = Path(__file__).parents[2] / "data" / "spool"

# What uWSGI 2.0.31 wrote for uwsgi.spool({b"a": b"b", b"at": b"1795463551", b"body": b"BB"}).
BY_UWSGI = b"\x11\x16\x00\x00\x01\x00a\x01\x00b\x02\x00at\x0a\x001795463551BB"

keys = st.binary(min_size=1, max_size=80).filter(lambda key: key != OVERFLOW)
task_vars = st.dictionaries(keys, st.binary(max_size=300), max_size=12)
huge = st.builds(lambda piece, times: piece * times, st.binary(min_size=1), st.integers(1, 70_000))


def _packed(*items: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(item)) + item for item in items)


def _file(block: bytes, rest: bytes = b"") -> bytes:
    return struct.pack("<BHB", 17, len(block), 0) + block + rest


def _with_overflow(overflow: bytes, size: bytes | None = None) -> bytes:
    size = b"%d" % len(overflow) if size is None else size
    block = struct.pack("<H", len(OVERFLOW)) + OVERFLOW + struct.pack("<H", len(size)) + size
    return _file(block, overflow)


def test_the_bytes_are_those_of_uwsgi() -> None:
    """A task that fits is written byte for byte as uWSGI writes it."""
    assert encode_task({b"a": b"b", b"at": b"1795463551"}, b"BB") == BY_UWSGI


def test_a_file_of_uwsgi_is_read() -> None:
    """uWSGI's file gives its vars and its body."""
    assert decode_task(BY_UWSGI) == SpoolTask({b"a": b"b", b"at": b"1795463551"}, b"BB")


def test_an_empty_task_is_four_bytes() -> None:
    """No vars and no body are a task, too, as under uWSGI."""
    assert encode_task({}) == b"\x11\x00\x00\x00"
    assert decode_task(b"\x11\x00\x00\x00") == SpoolTask({}, b"")


def test_pairs_are_taken_like_a_mapping() -> None:
    """Of a key given twice the last value counts, as in the dict uWSGI hands out."""
    assert encode_task([(b"a", b"1"), (b"a", b"2")]) == encode_task({b"a": b"2"})


@given(task_vars, st.binary(max_size=500))
def test_what_is_written_is_read_back(pairs: dict[bytes, bytes], body: bytes) -> None:
    """Every task survives the way through its file."""
    assert decode_task(encode_task(pairs, body)) == SpoolTask(pairs, body)


@given(st.dictionaries(keys, huge, max_size=4), st.binary(max_size=100))
def test_values_of_any_size_are_read_back(pairs: dict[bytes, bytes], body: bytes) -> None:
    """Values beyond 64 KiB survive, too, alone or together."""
    assert decode_task(encode_task(pairs, body)) == SpoolTask(pairs, body)


@pytest.mark.parametrize("value_bytes", [65530, 65531, 65535, 65536, 70_000, 1_000_000])
def test_the_limit_of_the_block_is_no_limit(value_bytes: int) -> None:
    """On both sides of 65535 bytes the value comes back whole."""
    pairs = {b"k": b"v" * value_bytes}
    assert decode_task(encode_task(pairs, b"body")) == SpoolTask(pairs, b"body")


def test_a_block_that_just_fits_has_no_overflow() -> None:
    """At 65535 bytes of vars the file is still uWSGI's own form; one more and it is ours."""
    assert OVERFLOW not in encode_task({b"k": b"v" * 65530})[:200]
    assert OVERFLOW in encode_task({b"k": b"v" * 65531})[:200]


def test_the_overflow_is_laid_out_as_the_rules_say() -> None:
    """Lengths of four bytes, key, value; the body follows at once."""
    data = _with_overflow(_packed(b"k", b"v", b"", b"")[:-8], b"10") + b"body"
    assert decode_task(data) == SpoolTask({b"k": b"v"}, b"body")


def test_a_long_key_is_kept() -> None:
    """A key, too, may be longer than the block."""
    pairs = {b"k" * 70_000: b"v", b"small": b"x"}
    assert decode_task(encode_task(pairs)) == SpoolTask(pairs, b"")


def test_only_what_does_not_fit_leaves_the_block() -> None:
    """The largest values travel apart; small ones stay where uWSGI's reader finds them."""
    data = encode_task({b"ud_spool_func": b"f", b"args": b"x" * 70_000, b"at": b"5"})
    block = data[4 : 4 + struct.unpack_from("<H", data, 1)[0]]
    assert b"ud_spool_func" in block
    assert b"\x02\x00at" in block
    assert b"args" not in block


def test_thousands_of_small_vars_fit() -> None:
    """Vars that are too much only together are kept, too."""
    pairs = {b"key-%d" % n: b"value" * 10 for n in range(2000)}
    assert decode_task(encode_task(pairs, b"b")) == SpoolTask(pairs, b"b")


def test_an_empty_key_is_refused() -> None:
    """uWSGI writes such a file and then drops it unread; here the call says so."""
    with pytest.raises(BadTask, match="b''"):
        encode_task({b"": b"x"})


def test_the_formats_own_key_is_refused() -> None:
    """The var that marks an overflow cannot be the user's."""
    with pytest.raises(BadTask, match="ud_spool_overflow"):
        encode_task({OVERFLOW: b"7"})


@pytest.mark.parametrize("pairs", [{b"a": b"b", b"cc": b""}, {b"k": b"v" * 66_000}])
def test_a_file_cut_anywhere_in_its_vars_is_truncated(pairs: dict[bytes, bytes]) -> None:
    """Every cut before the body is told apart from a malformed file."""
    data = encode_task(pairs)
    for end in {*range(min(len(data), 60)), len(data) - 1}:
        with pytest.raises(Truncated, match=r"ends at byte|where a header"):
            decode_task(data[:end])


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"\x00\x00\x00\x00", "byte 0"),
        (b"\x11\x00\x00\x01", "byte 0"),
        (b"GET / HTTP/1.1\r\n\r\n", "byte 0"),
        (_file(b"\x00\x00\x01\x00x"), "byte 0"),
        (_file(b"\x01\x00a\x05\x00x"), "byte"),
        (_file(b"\x01\x00a\x01"), "byte"),
        (_with_overflow(b"", b"much"), "not a number"),
        (_with_overflow(b"", b"-4"), "not a number"),
        (_with_overflow(b"", b""), "not a number"),
        (_with_overflow(b"abc"), "inside a length"),
        (_with_overflow(_packed(b"key")), "inside a length"),
        (_with_overflow(_packed(b"key") + b"\xff\xff\xff\xff"), "do not fit"),
        (_with_overflow(_packed(b"", b"value")), "empty key"),
    ],
)
def test_a_malformed_file_says_where(data: bytes, offset: str) -> None:
    """A breach of the form is Malformed, not Truncated, and names the place."""
    with pytest.raises(Malformed, match=offset) as caught:
        decode_task(data)
    assert not isinstance(caught.value, Truncated)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_task_or_an_error_of_ours(data: bytes) -> None:
    """No file, however broken, raises anything but Malformed."""
    try:
        decode_task(data)
    except Malformed:
        pass


@given(st.binary(max_size=120), st.integers(0, 200))
def test_any_overflow_is_a_task_or_an_error_of_ours(overflow: bytes, size: int) -> None:
    """Broken overflows, too, raise nothing but Malformed."""
    try:
        decode_task(_with_overflow(overflow, b"%d" % size))
    except Malformed:
        pass


@pytest.mark.parametrize("path", sorted(DATA.glob("*.spool")), ids=lambda path: path.name)
def test_a_stored_file_says_what_is_written_beside_it(path: Path) -> None:
    """Each file in tests/data/spool gives the vars and the body in the text beside it."""
    expected = path.with_suffix(".txt").read_text(encoding="ascii").splitlines()
    task = decode_task(path.read_bytes())
    shown = [f"{key!r}: {value!r}" for key, value in task.vars.items()]
    assert [*shown, f"body: {task.body!r}"] == expected
    assert encode_task(task.vars, task.body) == path.read_bytes()
