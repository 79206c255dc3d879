"""JSON made to break parsers, for tests of its readers: too deep, endless, doubled, half a character."""

from __future__ import annotations

from collections.abc import Iterator


def no_json(max_depth: int = 64) -> Iterator[bytes]:
    """Yield bodies that every JSON route must refuse without failing. ``max_depth``: the deepest nesting allowed."""
    yield from (b"", b" ", b"\x00", b"{", b"}", b"[", b'"', b"nul", b"NaN", b"Infinity", b"-Infinity", b"{]", b"[}")
    yield from (
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"{}{}",
        b"{} x",
        b"{}\x00",
        b"// c\n{}",
        b"{'a':1}",
        b"{a:1}",
    )
    yield from (
        b'{"a":1,}',
        b"[1,]",
        b'{"a"}',
        b'{"a":}',
        b'{,"a":1}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":1.}',
    )
    yield from (
        b'{"a":0x10}',
        b'{"a":1e}',
        b'{"a":"\\x"}',
        b'{"a":"\\u12"}',
        b'{"a":"\n"}',
        b'{"a":"\t"}',
        b'{"a":"\x00"}',
    )
    yield from (b'{"a":"\xff"}', b'{"a":"\xc3\x28"}', b'{"a":"\xed\xa0\x80"}', b'{"\xff":1}', b'{"a":"\xf0\x9f"}')
    yield from (b'{"a":"\\ud800"}', b'{"a":"\\udfff\\ud800"}', b'{"\\ud83d":1}', b'[{"a":["\\uDBFF"]}]')
    yield from (b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1e999}', b'{"a":-1e400}', b'{"a":1E+0999}')
    yield from (b'{"a":%s}' % (b"9" * 400_000), b'{"a":%s}' % (b"9" * 400), b'{"a":18446744073709551616}')
    yield from (b'{"a":-%s}' % (b"9" * 20), b'{"a":1,"a":2}', b'{"a":{"b":1,"\\u0062":2}}', b'[[{"x":1,"x":1}]]')
    for depth in (max_depth + 1, 998, 5_000, 100_000):
        yield b"[" * depth + b"]" * depth
        yield b'{"a":' * depth + b"1" + b"}" * depth
        yield b'{"a":' + b"[" * depth + b"]" * depth + b"}"
        yield b"[" * depth
        yield b'{"a":' * depth
        yield b'[{"a":' * depth
    yield b"[" + b"[]," * 300_000 + b"1]"
    yield b"[" + b"1," * 2_100_000 + b"1]"


__all__ = ("no_json",)
