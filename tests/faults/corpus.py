"""Good JSON in the wrong places."""

from __future__ import annotations

from collections.abc import Iterator

from hyperllama.web.body import MAX_DEPTH

CHAT = b'{"model":"tiny","messages":[{"role":"user","content":"Hi"}]'


def not_the_right_json() -> Iterator[bytes]:
    """Good JSON in the wrong places: each value at the top, and as every field of a chat."""
    values = [
        b"null",
        b"true",
        b"0",
        b"-1",
        b"1.5",
        b'""',
        b'"a"',
        b"[]",
        b"[[]]",
        b"{}",
        b'{"":null}',
        b"[null]",
        b"1e308",
    ]
    yield from values
    fields = [
        b"model",
        b"messages",
        b"stream",
        b"n",
        b"stop",
        b"tools",
        b"tool_choice",
        b"response_format",
        b"logit_bias",
    ]
    fields += [
        b"stream_options",
        b"prompt",
        b"input",
        b"tokens",
        b"chat_template_kwargs",
        b"structured_outputs",
        b"query",
    ]
    fields += [b"documents", b"text_1", b"reasoning", b"previous_response_id", b"text", b"metadata", b"include"]
    for field in fields:
        for value in values:
            yield (
                b'{"model":"tiny","%s_":0,"%s":%s}' % (field, field, value)
                if field == b"model"
                else (b'{"model":"tiny","%s":%s}' % (field, value))
            )
    deep = b"[" * (MAX_DEPTH - 4) + b"]" * (MAX_DEPTH - 4)
    yield CHAT + b',"metadata":' + deep + b"}"
    yield CHAT + b',"tools":[{"type":"function","function":{"name":"f","parameters":{"a":' + deep[4:-4] + b"}}}]}"
    yield CHAT + b',"response_format":{"type":"json_schema","json_schema":{"schema":{"$ref":"#"}}}}'
    yield CHAT + b',"guided_regex":"(a+)+$"}'
    yield CHAT + b',"logit_bias":{"%s":1}}' % (b"9" * 5000)
    yield CHAT + b',"stop":["%s"]}' % (b"\\u0000" * 40)
    yield b'{"model":"%s","messages":[{"role":"user","content":"x"}]}' % (b"a" * 100_000)
    yield b'{"model":"\\u0000\\r\\n../../etc","messages":[{"role":"user","content":"x"}]}'
