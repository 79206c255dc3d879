"""Text, numbers and times as Go writes them."""

from __future__ import annotations

import random
import struct

import msgspec
import pytest

from hyperllama_ollama.encode import text


def _floats(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def test_what_go_escapes_is_escaped_and_the_rest_is_not() -> None:
    written = text.string("a<b>&\u0085\u2028\u2029\x00\x1c\x1e\n\té\U0001f600\x7f")
    expected = '"a\\u003cb\\u003e\\u0026\\u0085\\u2028\\u2029\\u0000\\u001c\\u001e\\n\\té\U0001f600\x7f"'
    assert written.decode() == expected


def test_escaped_text_reads_back_and_stays_one_line_for_anyone() -> None:
    every = "".join(map(chr, [*range(0xD800), *range(0xE000, 0x11000)]))
    written = text.string(every)
    assert msgspec.json.decode(written) == every
    assert len(written.decode().splitlines()) == 1


@pytest.mark.parametrize(
    ("unix_ns", "written"),
    [
        (1767323045123456789, "2026-01-02T03:04:05.123456789Z"),
        (1767323045120000000, "2026-01-02T03:04:05.12Z"),
        (1767323045000000000, "2026-01-02T03:04:05Z"),
        (1767323045000000001, "2026-01-02T03:04:05.000000001Z"),
    ],
)
def test_time_stamps_have_nanoseconds_without_trailing_zeros(unix_ns: int, written: str) -> None:
    assert text.utc(unix_ns) == written


def test_local_time_carries_its_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "America/Phoenix")
    time.tzset()
    try:
        assert text.local(1767323045.5) == "2026-01-01T20:04:05.5-07:00"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_float32s_have_the_fewest_digits_that_read_back() -> None:
    vector = _floats(0.0101, -0.0017, 1, 0, 1e-5, 1e-7, 1e7, 123456789, 1e21, 0.1, 1 / 3, 16777216)
    written = b"[0.0101,-0.0017,1,0,0.00001,1e-7,10000000,123456790,1e+21,0.1,0.33333334,16777216]"
    assert text.float32s(vector) == written


def test_every_float32_reads_back_as_itself() -> None:
    draw = random.Random(7)
    vector = _floats(*(draw.gauss(0, 10 ** draw.uniform(-12, 12)) for _ in range(20_000)))
    back = msgspec.json.decode(text.float32s(vector), type=list[float])
    assert _floats(*back) == vector


def test_float64s_show_the_float32_exactly() -> None:
    assert text.float64s(_floats(0.6, 1, 0)) == b"[0.6000000238418579,1,0]"
    assert text.float64s(b"") == text.float32s(b"") == b"[]"


def test_quotes_are_those_of_go() -> None:
    assert text.quote('a"b\\c\n\x01é\u2028') == '"a\\"b\\\\c\\n\\x01é\\u2028"'
