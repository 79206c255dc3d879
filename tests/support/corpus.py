"""Good JSON in the wrong places, and URLs that lead where nobody may go."""

from __future__ import annotations

from collections.abc import Iterator

from hyperllama.web.strict_json import MAX_DEPTH

HOST = "images.example.com"
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


def spellings(port: int) -> list[str]:
    """Sixty and more ways to this machine, or to somewhere else that nobody allowed."""
    hosts = (
        "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001",
        "0", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]",
        "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%25lo]", "localhost", "LOCALHOST", "localhost.",
        "localhost.localdomain", "ip6-localhost", "127.0.0.1.nip.io", "loopback.example.com", "127。0。0。1",
        "①②⑦.⓪.⓪.①", "169.254.169.254", "metadata.google.internal", "10.0.0.1", "192.168.0.1", "172.16.0.1",
        "100.64.0.1", "[fd00::1]", "example.com.", "images.example.com.evil.net", "imagesXexample.com",
        "evil-images.example.com", "images.example.com%2eevil.net", "images.example.com%00.evil.net", "xn--a.localhost",
    )  # fmt: skip
    return [
        *(f"https://{host}/" for host in hosts),
        *(f"https://{host}:{port}/" for host in ("127.0.0.1", "localhost", "images.example.com")),
        f"http://{HOST}/", f"HTTP://{HOST}/", f"//{HOST}/", f"https:/{HOST}/", f"https:{HOST}", HOST,
        f"https://user@{HOST}/", f"https://{HOST}@127.0.0.1/", f"https://127.0.0.1@{HOST}/", f"https://{HOST}:80/",
        f"https://{HOST}\\@127.0.0.1/", f"https://127.0.0.1\\@{HOST}/", f"https://127.0.0.1\\.{HOST}/",
        f"https://{HOST}\t.evil.net/", f"https://{HOST}\n/", f" https://{HOST}/", f"https://{HOST}/ HTTP/1.1\r\nX: y",
        f"https://{HOST}/\u00e9", f"https://{HOST}#@127.0.0.1/\x00", "https://", "https:///etc/passwd",
        "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "data:text/plain,hi", "javascript:1", "",
        "https://İmages.example.com/", "https://\u0131mages.example.com/", "https://images.example.com\u2024evil.net/",
    ]  # fmt: skip
