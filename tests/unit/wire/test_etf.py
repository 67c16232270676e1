"""Erlang's terms: what OTP writes is read, what is read goes back, and nothing hostile gets by."""

from __future__ import annotations

import collections
import enum
import random
import struct
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muleteer.errors import BadTerm, Malformed, TooLarge
from muleteer.wire import etf
from muleteer.wire.terms import (
    Atom,
    BitString,
    Charlist,
    Export,
    FrozenList,
    FrozenMap,
    Fun,
    Improper,
    Pid,
    Port,
    Ref,
    atom_name,
)

DATA = Path(__file__).parents[2] / "data" / "etf"
VECTORS = [
    line.split("\t")
    for line in (DATA / "vectors.txt").read_text().splitlines()
    if not line.startswith("#")
]
VALUES: dict[str, Any] = {
    **{
        text: int(text)
        for text in ["0", "255", "256", "-1", "2147483647", "2147483648", "-2147483649"]
    },
    "1 bsl 64": 1 << 64,
    "1.5": 1.5,
    "-0.25": -0.25,
    "[]": [],
    '"ab"': Charlist("ab"),
    "[1,2,300]": [1, 2, 300],
    "[1|2]": Improper((1,), 2),
    "{}": (),
    "{1,{2}}": (1, (2,)),
    '<<"abc">>': b"abc",
    "<<>>": b"",
    "<<5:3>>": BitString(b"\xa0", 3),
    "#{}": {},
    "#{1=>2}": {1: 2},
}
NODE = Atom("n@127.0.0.1")
PID = Pid(NODE, 90, 0, 0x6B049B70)
CLOSURE = (
    bytes(1 + 16 + 4)
    + struct.pack(">I", 1)
    + b"\x77\x01m\x61\x01\x61\x02"
    + etf.encode(PID)[1:]
    + b"\x61\x07"
)
FUN = Fun(b"\x70" + struct.pack(">I", 4 + len(CLOSURE)) + CLOSURE)

ATOMS = st.text(st.characters(exclude_categories=("Cs",)), max_size=255).map(Atom)
U32 = st.integers(0, 0xFFFFFFFF)
IDENTITIES = (
    st.builds(Pid, ATOMS, U32, U32, U32)
    | st.builds(Ref, ATOMS, U32, st.lists(U32, min_size=1, max_size=5).map(tuple))
    | st.builds(Port, ATOMS, st.integers(0, 2**64 - 1), U32)
    | st.builds(Export, ATOMS, ATOMS, st.integers(0, 255))
)
SIMPLE = (
    st.none()
    | st.booleans()
    | st.integers(-(2**4000), 2**4000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.binary(max_size=300)
    | st.binary(min_size=1, max_size=9).map(lambda data: Charlist(data.decode("latin-1")))
    | st.builds(BitString, st.binary(min_size=1, max_size=9), st.integers(1, 7))
    | ATOMS.filter(lambda name: name not in {"true", "false", "undefined"})
    | IDENTITIES
    | st.just(FUN)
)
KEYS = st.binary(max_size=9) | st.tuples(ATOMS, st.integers()) | IDENTITIES | ATOMS
TERMS = st.recursive(
    SIMPLE,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=5)
        | st.builds(Improper, st.lists(inner, min_size=1, max_size=3).map(tuple), st.just(3))
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(("erlang", "code"), VECTORS, ids=[erlang for erlang, _ in VECTORS])
def test_otps_own_bytes_are_read_and_written(erlang: str, code: str) -> None:
    """A term of OTP becomes the Python value, and that becomes the same bytes again."""
    value = etf.decode(bytes.fromhex(code))
    assert (value, type(value)) == (VALUES[erlang], type(VALUES[erlang]))
    assert etf.encode(value).hex() == code


@given(TERMS)
def test_terms_come_back(term: Any) -> None:
    """What was sent is read as the same value, and that is written as the same bytes."""
    data = etf.encode(term)
    again = etf.decode(data)
    assert again == term
    assert etf.encode(again) == data


@pytest.mark.parametrize(
    ("sent", "comes_back"),
    [
        ("з", "з".encode()),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[::2], b"ac"),
        (True, True),
        (Atom("true"), True),
        (None, None),
        (Charlist(""), []),
        (Charlist("з"), [0x437]),
        (collections.OrderedDict(a=1), {b"a": 1}),
        (enum.IntEnum("E", {"A": 7})(7), 7),
        (NamedTuple("N", [("x", int)])(5), (5,)),
        (1 << 2040, 1 << 2040),
        (Charlist("a" * 70_000), [97] * 70_000),
        (tuple(range(300)), tuple(range(300))),
        (Atom("з" * 255), Atom("з" * 255)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_python_has_more_of_is_sent_as_the_nearest_term(sent: Any, comes_back: Any) -> None:
    """A str is a binary; subclasses are what they derive from."""
    assert etf.decode(etf.encode(sent)) == comes_back


def test_a_str_is_a_binary_and_an_atom_an_atom() -> None:
    """Text of users must not become atoms: Erlang never forgets one."""
    assert etf.encode("ab").hex() == "836d000000026162"
    assert etf.encode(Atom("ab")).hex() == "8377026162"
    assert etf.encode(True).hex() == "837704" + b"true".hex()
    assert etf.encode(None).hex() == "837709" + b"undefined".hex()


def test_atoms_that_are_python_values_have_their_names_still() -> None:
    """A process may be registered as `true`: its name can be had from the value."""
    assert [atom_name(term) for term in (True, False, None, Atom("x"), "x", b"x")] == [
        *("true", "false", "undefined", "x"),
        *(None, None),
    ]


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("6400026162", Atom("ab")),
        ("730161", Atom("a")),
        ("640001e9", Atom("é")),
        ("7600 02 d0b7".replace(" ", ""), Atom("з")),
        ("63" + b"1.5".ljust(31, b"\0").hex(), 1.5),
        ("67770161000000010000000203", Pid(Atom("a"), 1, 2, 3)),
        ("597701610000000100000002", Port(Atom("a"), 1, 2)),
        ("6c0000000161016b000161", [1, 97]),
        ("6c0000000161016c0000000161026a", [1, 2]),
        ("6c000000006105", 5),
        ("4d0000000108a5", b"\xa5"),
        ("4d0000000103ff", BitString(b"\xe0", 3)),
        ("4d0000000000", b""),
        ("69000000016101", (1,)),
        ("7104".replace("04", "") + "7701617701626103", Export(Atom("a"), Atom("b"), 3)),
    ],
)
def test_older_and_looser_forms_are_read(code: str, value: Any) -> None:
    """Old tags, and forms that a peer's VM would read too."""
    found = etf.decode(bytes.fromhex("83" + code))
    assert (found, type(found)) == (value, type(value))


def test_keys_of_maps_are_hashable_and_go_back_as_they_were() -> None:
    """A list or a map as a key is frozen; as an atom, `true` is not mistaken for 1."""
    term = {
        FrozenList([1, FrozenList([300])]): 1,
        FrozenMap({(b"a", FrozenList([2, 300]))}): 2,
        Atom("true"): 3,
        1: 4,
    }
    assert etf.decode(etf.encode(term)) == term
    assert etf.encode(etf.decode(etf.encode(term))) == etf.encode(term)


@pytest.mark.parametrize(
    ("term", "words"),
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        ({b"a": 1, "a": 2}, "same term"),
        ({FrozenList([97, 98]): 1, Charlist("ab"): 2}, "same term"),
        (Atom("x" * 256), "255"),
        ("\ud800", "surrogate"),
        (Atom("\ud800"), "surrogate"),
        ({1, 2}, "set"),
        ([object()], "object"),
        (1 << 8 * 524_281, "524282"),
        (Pid("n@h", 1 << 32, 0, 1), "number"),
        (Port("n@h", -1, 1), "number"),
        (Ref("n@h", 1, ()), "words"),
        (Ref("n@h", 1, (1 << 40,)), "number"),
        (Export("m", "f", 256), "255"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_a_node_would_not_accept_is_refused_here(term: Any, words: str) -> None:
    """One bad term would cost the whole connection, so it is never sent."""
    with pytest.raises(BadTerm, match=words) as caught:
        etf.encode(term)
    assert isinstance(caught.value, ValueError)


def test_a_list_in_itself_is_refused() -> None:
    """It would never end."""
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(BadTerm, match="itself"):
        etf.encode(loop)


def test_values_that_are_none_cannot_be_made() -> None:
    """An improper list has a tail that is no list; a bit string has bits."""
    with pytest.raises(ValueError, match="improper"):
        Improper((1,), [2])
    with pytest.raises(ValueError, match="bit string"):
        BitString(b"a", 8)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "82",
        "83",
        "8361",
        "83620000",
        "836d00000005616263",
        "836d7fffffff61",
        "836c7fffffff6a",
        "8369ffffffff61",
        "8374ffffffff61",
        "836e0500",
        "836fffffffff00",
        "8350000000ff789c",
        "8379",
        "8375",
        "837701ff",
        "837702c3",
        "83760100" + "61" * 256,
        "83467ff0000000000000",
        "83467ff8000000000001",
        "8363" + b"nan".ljust(31, b"\0").hex(),
        "8363" + b"1_0".ljust(31, b"\0").hex() + "00",
        "8363" + "ff" * 31,
        "834d0000000109ff",
        "834d0000000001",
        "835a0006770161" + "00000001" * 7,
        "835a000077016100000001",
        "83586101" + "00000001" * 3,
        "835877016100000001",
        "8371770161770161770161",
        "83717701617701616201000000",
        "83700000000500",
        "8374000000026101610161016102",
        "83740000000261016101463ff000000000000061026a",
        "83610000",
    ],
)
def test_broken_terms_are_malformed(code: str) -> None:
    """Cut short, announced too long, unknown, or no value at all: one error, with words."""
    with pytest.raises((Malformed, TooLarge)):
        etf.decode(bytes.fromhex(code))


def test_every_cut_of_every_vector_is_malformed() -> None:
    """No prefix of a term is one."""
    whole = [bytes.fromhex(code) for _, code in VECTORS]
    whole += [etf.encode(x) for x in (PID, FUN, Ref(NODE, 1, (1, 2, 3)), {b"a": [1, Atom("b")]})]
    for data in whole:
        for end in range(len(data)):
            with pytest.raises(Malformed):
                etf.decode(data[:end])


def test_depth_is_bounded_both_ways() -> None:
    """What may be sent may be read, and one level more neither."""
    for core in (1, (), [], {}):
        deep: Any = core
        for _ in range(250):
            deep = (deep,)
        assert etf.decode(etf.encode(deep)) == deep
    with pytest.raises(BadTerm):
        etf.encode((deep,))
    with pytest.raises(TooLarge):
        etf.decode(b"\x83" + b"\x68\x01" * 251 + b"\x61\x01")
    with pytest.raises(TooLarge):
        etf.decode(b"\x83" + b"\x6c\0\0\0\1" * 1_000_000 + b"\x6a")
    with pytest.raises(TooLarge):
        etf.decode(b"\x83" + b"\x6c\0\0\0\0" * 1_000_000 + b"\x6a")


def test_elements_are_bounded() -> None:
    """Sixteen million empty lists in sixteen megabytes are refused before the first is made."""
    bomb = b"\x83\x6c" + struct.pack(">I", 16_000_000) + b"\x6a" * 16_000_001
    start = time.process_time()
    with pytest.raises(TooLarge):
        etf.decode(bomb)
    assert time.process_time() - start < 0.1
    assert etf.decode(etf.encode([1] * 1000), etf.Limits(elements=1000)) == [1] * 1000
    with pytest.raises(TooLarge):
        etf.decode(etf.encode([1] * 1000), etf.Limits(elements=999))


def test_keys_chosen_to_share_a_hash_are_refused() -> None:
    """Numbers a multiple of 2^61-1 apart all hash alike: a dict of many would take hours."""
    alike = [k * (2**61 - 1) for k in range(1, 20_000)]
    count = struct.pack(">I", len(alike))
    data = b"\x83\x74" + count + b"".join(etf.encode(key)[1:] + b"\x6a" for key in alike)
    start = time.process_time()
    with pytest.raises(Malformed, match="hash"):
        etf.decode(data)
    assert time.process_time() - start < 1
    honest = dict.fromkeys(range(-5000, 5000))
    assert etf.decode(etf.encode(honest)) == honest


def test_mutated_terms_are_read_or_refused() -> None:
    """Thirty thousand seeded mutations raise nothing but our own errors; what is read encodes."""
    dice = random.Random(20261124)
    seeds = [bytes.fromhex(code) for _, code in VECTORS]
    seeds += [etf.encode([PID, FUN, {b"k": (Atom("a"), 1.5)}, Ref(NODE, 1, (1, 2)), 1 << 99])]
    seeds += [etf.encode({FrozenList([1, 2]): Improper((1,), Atom("x")), Charlist("q"): "я"})]
    seeds += [b"\x83\x63" + b"1.5e3".ljust(31, b"\0"), etf.encode(Port(NODE, 1, 2))]
    for _ in range(30_000):
        data = bytearray(dice.choice(seeds))
        for _ in range(dice.randint(1, 4)):
            _mutate(data, dice)
        try:
            term = etf.decode(bytes(data))
        except (Malformed, TooLarge):
            continue
        try:
            etf.encode(term)
        except BadTerm:  # two keys that are one term in Erlang
            pass


def _mutate(data: bytearray, dice: random.Random) -> None:
    place = dice.randrange(len(data) + 1)
    kind = dice.randrange(4)
    if kind == 0 and place < len(data):
        data[place] = dice.choice([dice.randrange(256), 97, 104, 108, 112, 116, 255, 0])
    elif kind == 1:
        data[place:place] = dice.randbytes(dice.randint(1, 5))
    elif kind == 2:
        del data[place : place + dice.randint(1, 5)]
    else:
        start = dice.randrange(len(data) + 1)
        data[place:place] = data[start : start + 20]
