"""JSON as Go reads it."""

from __future__ import annotations

import pytest

from hyperllama_ollama.decode import scan


def _parsed(body: bytes) -> object:
    document = scan.parse(body)
    assert document is not None
    return document.value


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a":1}', {"a": 1}),
        (
            b' \t\r\n{"a" : [1, 2.5, -0, 1e2, true, false, null, "x"]} ',
            {"a": [1, 2.5, 0, 100.0, True, False, None, "x"]},
        ),
        (b"[]", []),
        (b"{}", {}),
        (b"null", None),
        (b'"\\u00e9\\n\\"\\/"', 'é\n"/'),
        (b'{"a":1}{"b":2}', {"a": 1}),
        (b'{"a":1} trailing rubbish', {"a": 1}),
        (b"01", 0),
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'"\xff\xfeok"', "\ufffd\ufffdok"),
        (b'"\xe2\x82"', "\ufffd\ufffd"),  # a byte each, as Go counts them
        (b'"\\ud800x"', "\ufffdx"),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        ('"\u2028é"'.encode(), "\u2028é"),
        (b'[[[1],[]],{"a":{"b":[]}}]', [[[1], []], {"a": {"b": []}}]),
    ],
)
def test_a_first_value_is_read_and_the_rest_ignored(body: bytes, value: object) -> None:
    assert _parsed(body) == value


def test_keys_stand_where_they_were_last_written() -> None:
    assert list(_parsed(b'{"a":1,"A":2,"a":3}').items()) == [("A", 2), ("a", 3)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("body", [b"", b"  \n\t"])
def test_space_alone_is_no_value(body: bytes) -> None:
    assert scan.parse(body) is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "unexpected EOF"),
        (b'{"a"', "unexpected EOF"),
        (b'{"a":', "unexpected EOF"),
        (b'{"a":1', "unexpected EOF"),
        (b'{"a":1,', "unexpected EOF"),
        (b"[1,", "unexpected EOF"),
        (b'"abc', "unexpected EOF"),
        (b'"abc\\', "unexpected EOF"),
        (b'"abc\\u12', "unexpected EOF"),
        (b"tru", "unexpected EOF"),
        (b"-", "unexpected EOF"),
        (b"[1.", "unexpected EOF"),
        (b"[1e", "unexpected EOF"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b"[1,]", "invalid character ']' looking for beginning of value"),
        (b"not json", "invalid character 'o' in literal null (expecting 'u')"),
        (b"trxe", "invalid character 'x' in literal true (expecting 'u')"),
        (b"falsy", "invalid character 'y' in literal false (expecting 'e')"),
        (b"model=x", "invalid character 'm' looking for beginning of value"),
        (b"{a:1}", "invalid character 'a' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"[01]", "invalid character '1' after array element"),
        (b"[-x]", "invalid character 'x' in numeric literal"),
        (b"[1.x]", "invalid character 'x' after decimal point in numeric literal"),
        (b"[1ex]", "invalid character 'x' in exponent of numeric literal"),
        (b"[1e+]", "invalid character ']' in exponent of numeric literal"),
        (b'"a\nb"', "invalid character '\\n' in string literal"),
        (b'"a\x00b"', "invalid character '\\x00' in string literal"),
        (b'"\\x"', "invalid character 'x' in string escape code"),
        (b'"\\u12g4"', "invalid character 'g' in \\u hexadecimal character escape"),
        (b"'a'", "invalid character '\\'' looking for beginning of value"),
        (b"\xef\xbb\xbf{}", "invalid character 'ï' looking for beginning of value"),
        (b"\xff", "invalid character 'ÿ' looking for beginning of value"),
        (b"NaN", "invalid character 'N' looking for beginning of value"),
    ],
)
def test_what_is_no_json_is_refused_in_the_words_of_go(body: bytes, message: str) -> None:
    with pytest.raises(scan.BadJson) as error:
        scan.parse(body)
    assert str(error.value) == message


def test_depth_has_a_limit_and_no_stack_overflow() -> None:
    with pytest.raises(scan.BadJson) as error:
        scan.parse(b"[" * 1_000_000)
    assert str(error.value) == "invalid character '[' exceeded max depth"
    deep = b"[" * scan.MAX_DEPTH + b"]" * scan.MAX_DEPTH
    assert scan.parse(deep) is not None


def test_thousands_of_digits_are_a_number_like_any_other() -> None:
    assert _parsed(b"[" + b"9" * 5000 + b"]") == [float("inf")]
    assert _parsed(b"[1" + b"0" * 30 + b"]") == [10**30]


def test_members_keep_the_text_they_were_written_as() -> None:
    document = scan.parse(b'{"format": [1, 2.0 ] , "b":"x"}')
    assert document is not None
    assert document.raw == {"format": "[1, 2.0 ]", "b": '"x"'}


@pytest.mark.parametrize("unit", ["a", "\u00e9", "\U0001f600"])
@pytest.mark.parametrize(
    "escape", [b"\\ud83d\\ude00", b"\\ud83d", b"\\ude00", b"\\n", b"\\u0041", b"\xff", b"\xe2\x82"]
)
def test_a_long_string_is_read_as_a_short_one_is(unit: str, escape: bytes) -> None:
    """It is read in pieces: no escape, pair or character may be cut by their ends, wherever it stands."""
    short = _parsed(b'"' + escape + b'"')
    assert isinstance(short, str)
    for before in (0, 511, 32_767, 131_070):
        text = unit * before
        body = b'"' + text.encode() + escape * 3_000 + b'z"'
        if escape == b"\\ude00" and before == 0:
            assert _parsed(b'"\\ud83d' + body[1:]) == "\U0001f600" + short * 2_999 + "z"
        assert _parsed(body) == text + short * 3_000 + "z"


def test_numbers_keep_their_text_for_errors_only_as_far_as_it_costs_little() -> None:
    document = scan.parse(b"[" + b"1.50," * 20_000 + b"1]", tokens=True)
    assert document is not None
    assert document.value[0].token == "1.50"
    assert sum(isinstance(number, scan.Number) for number in document.value) == 10_000
    assert document.value == [1.5] * 20_000 + [1]
