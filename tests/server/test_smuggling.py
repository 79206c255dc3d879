"""Whatever could be read in two ways is refused with 400 and ends the connection; nothing behind it is carried out."""

from __future__ import annotations

from typing import Any

import pytest

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\n\r\n"


def post(*lines: bytes, body: bytes = b"", path: bytes = b"/", version: bytes = b"HTTP/1.1") -> bytes:
    head = b"".join(line + b"\r\n" for line in (b"Host: a", *lines))
    return b"POST " + path + b" " + version + b"\r\n" + head + b"\r\n" + body


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


VECTORS: dict[str, bytes] = {
    # two lengths
    "CL and TE": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "TE and CL": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
    "CL and identity TE": post(b"Content-Length: 0", b"Transfer-Encoding: identity"),
    "two different CLs": post(b"Content-Length: 0", b"Content-Length: 30"),
    "two equal CLs": post(b"Content-Length: 0", b"Content-Length: 0"),
    "list of CLs": post(b"Content-Length: 0, 0"),
    "list of different CLs": post(b"Content-Length: 0, 5"),
    "signed CL": post(b"Content-Length: +0"),
    "negative CL": post(b"Content-Length: -0"),
    "hexadecimal CL": post(b"Content-Length: 0x0"),
    "CL with underscore": post(b"Content-Length: 0_0"),
    "CL with space": post(b"Content-Length: 0 0"),
    "CL over 64 bits": post(b"Content-Length: 18446744073709551616"),
    "CL of 400 digits": post(b"Content-Length: " + b"9" * 400),
    "empty CL": post(b"Content-Length:"),
    "fraction CL": post(b"Content-Length: 0.0"),
    "CL with NUL": post(b"Content-Length: 0\x00"),
    "CL with vertical tab": post(b"Content-Length: \x0b0"),
    "CL in other digits": post("Content-Length: \u0660".encode()),
    # transfer codings
    "TE xchunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "TE chunked twice in a list": post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"),
    "TE gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "TE chunked, identity": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "TE identity": post(b"Transfer-Encoding: identity"),
    "two TEs": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "two TEs, one odd": post(b"Transfer-Encoding: x", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
    "TE quoted": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "TE with parameter": post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n"),
    "TE with vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "empty TE": post(b"Transfer-Encoding:", body=b"0\r\n\r\n"),
    "TE in HTTP/1.0": post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"HTTP/1.0"),
    "space before the colon of TE": post(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
    "tab before the colon of CL": post(b"Content-Length\t: 0"),
    "TE on a folded line": post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n"),
    "NUL in a name": post(b"Transfer-Encoding\x00: chunked", body=b"0\r\n\r\n"),
    # line ends
    "bare LF after the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare LF after a header": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare LF before the body": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\n\r\n",
    "bare CR in a header": post(b"X: a\rContent-Length: 30"),
    "bare CR after the request line": b"GET / HTTP/1.1\rHost: a\r\n\r\n",
    "folded header": post(b"X: a\r\n b"),
    "folded with tab": post(b"X: a\r\n\tContent-Length: 30"),
    "space before the first header": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "line without a colon": post(b"Nothing"),
    "empty name": post(b": b"),
    "space in a name": post(b"Content Length: 0"),
    "control character in a value": post(b"X: a\x01b"),
    "two empty lines first": b"\r\n\r\n" + GOOD,
    # hosts
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "two Hosts, differing": b"GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n",
    "two Hosts in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
    "Host with a path in HTTP/1.0": b"GET / HTTP/1.0\r\nHost: a/b\r\n\r\n",
    "Host with a path": b"GET / HTTP/1.1\r\nHost: a/b?c\r\n\r\n",
    "Host with a user": b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "Host with a comma": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "Host with a worded port": b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    # request lines
    "absolute target": b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute target without Host": b"GET http://a/ HTTP/1.1\r\n\r\n",
    "absolute target with two Hosts": b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
    "absolute target and another port": b"GET http://a:1/ HTTP/1.1\r\nHost: a:2\r\n\r\n",
    "absolute target with a user": b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute target without a name": b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute target with a port alone": b"GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute target with a comma": b"GET http://a,b/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute target of another scheme": b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "absolute target without slashes": b"GET http:a HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk with another method": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "asterisk with a query": b"OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n",
    "path without a slash": b"GET a HTTP/1.1\r\nHost: a\r\n\r\n",
    "authority target": b"CONNECT b:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT with a path": b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
    "fragment": b"GET /#b HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "tab for a space": b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "control character in the target": b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL in the target": b"GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n",
    "raw byte in the target": b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no version": b"GET /\r\nHost: a\r\n\r\n",
    "small method": b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"SMUGGLE / HTTP/1.1\r\nHost: a\r\n\r\n",
    "WebSocket": b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    # chunked bodies
    "chunk size with 0x": chunked(b"0x0\r\n\r\n"),
    "chunk size with sign": chunked(b"+0\r\n\r\n"),
    "negative chunk": chunked(b"-1\r\n\r\n"),
    "space after the chunk size": chunked(b"0 \r\n\r\n"),
    "space before the chunk size": chunked(b" 0\r\n\r\n"),
    "empty chunk size": chunked(b"\r\n\r\n"),
    "bare LF after the chunk size": chunked(b"0\n\r\n"),
    "bare LF in a chunk extension": chunked(b"0;a\nb\r\n\r\n"),
    "bare LF after the last chunk": chunked(b"0\r\n\n"),
    "chunk longer than said": chunked(b"1\r\nab\r\n0\r\n\r\n"),
    "LF alone after a chunk": chunked(b"1\r\na\n0\r\n\r\n"),
    "chunk size over 60 bits": chunked(b"1000000000000000\r\n"),
    "chunk size that wraps to 0": chunked(b"10000000000000000\r\n\r\n"),
    "chunk extension over 4 KiB": chunked(b"0;" + b"a" * 4200 + b"\r\n\r\n"),
    "endless chunk extension": chunked(b"1;" + b"a" * 20_000),
    "control character in a chunk extension": chunked(b"0;\x01\r\n\r\n"),
    "trailer": chunked(b"0\r\nX: a\r\n\r\n"),
    "trailer that is a length": chunked(b"0\r\nContent-Length: 30\r\n\r\n"),
}


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "h2c, websocket"])
def test_f01_an_offer_of_websocket_is_answered_with_what_is_spoken(upgrade: str, served: Any, wire: Any) -> None:
    """Clients go on over HTTP at once; any other status they try again or give up at."""
    head = f"GET /v1/responses HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n"
    got = served.ask(head.encode())
    assert wire.statuses(got) == [426]
    assert b"upgrade: HTTP/1.1\r\n" in got
    assert served.app.seen == []


@pytest.mark.parametrize("name", VECTORS)
def test_s01_what_follows_an_ambiguous_request_is_never_carried_out(
    name: str, served: Any, wire: Any, bar: Any
) -> None:
    got = served.ask(VECTORS[name] + SMUGGLED)
    assert wire.statuses(got) == [426 if name == "WebSocket" else 400]
    assert b'{"error":' in got
    assert b"connection: close\r\n" in got
    assert not [path for _, path, _ in served.app.seen if path != "/"]
    bar.record(f"0 carried out of {len(VECTORS)} vectors in two orders", rounds=2 * len(VECTORS))


# Behind a request, two empty lines are two empty lines all the same; the test above has that one.
@pytest.mark.parametrize("name", [name for name in VECTORS if name != "two empty lines first"])
def test_s01_a_good_request_before_an_ambiguous_one_is_answered_first(name: str, served: Any, wire: Any) -> None:
    got = served.ask(GOOD + VECTORS[name] + SMUGGLED)
    assert wire.statuses(got) == [200, 426 if name == "WebSocket" else 400]
    assert [path for _, path, _ in served.app.seen if path != "/"] == ["/good"]


@pytest.mark.parametrize("name", ["CL and TE", "two Hosts", "bare LF after a header", "trailer", "folded header"])
def test_s01_the_verdict_does_not_hang_on_how_the_bytes_are_cut(name: str, served: Any, wire: Any) -> None:
    with served.connect() as one:
        one.setsockopt(6, 1, 1)  # TCP_NODELAY
        for byte in VECTORS[name]:
            try:
                one.send(bytes([byte]))
            except (BrokenPipeError, ConnectionResetError):
                break
        got = wire.until_end(one)
    assert wire.statuses(got) == [400]
    assert not [path for _, path, _ in served.app.seen if path != "/"]


def test_an_offer_of_http2_is_ignored_and_the_body_arrives(served: Any, wire: Any) -> None:
    lines = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk", b"Content-Length: 5")
    with served.connect() as one:
        one.sendall(post(*lines, body=b"hello"))
        answer, _ = wire.one_answer(one)
        one.sendall(GOOD)
        second, _ = wire.one_answer(one)
    assert wire.statuses(answer + second) == [200, 200]
    assert served.app.seen[0] == ("POST", "/", b"hello")
    assert b"upgrade" not in [name for name, _ in served.app.headers[0]]


def test_an_empty_line_before_a_request_is_skipped(served: Any, wire: Any) -> None:
    with served.connect() as one:
        one.sendall(post(b"Content-Length: 2", body=b"ab\r\n") + GOOD)
        first, rest = wire.one_answer(one)
        second, _ = wire.one_answer(one, rest)
    assert wire.statuses(first + second) == [200, 200]
    assert served.app.seen == [("POST", "/", b"ab"), ("GET", "/good", b"")]


@pytest.mark.parametrize(
    "host",
    [b"a", b"a:11434", b"127.0.0.1:11434", b"[::1]:11434", b"[::1]", b"my_host.local", b"", b" a ", b"a:", b"A.B-C"],
)
def test_plain_hosts_are_taken(host: bytes, served: Any, wire: Any) -> None:
    with served.connect() as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost:" + host + b"\r\n\r\n")
        answer, _ = wire.one_answer(one)
    assert wire.statuses(answer) == [200]


@pytest.mark.parametrize(
    "body",
    [b"5\r\nhello\r\n0\r\n\r\n", b"5;a=b\r\nhello\r\n0;c\r\n\r\n", b"1\r\nh\r\n04\r\nello\r\n000\r\n\r\n"],
)
def test_chunked_bodies_arrive_whole_however_they_are_cut(body: bytes, served: Any, wire: Any) -> None:
    whole = chunked(body)
    for step in (len(whole), 7, 1):
        with served.connect() as one:
            one.setsockopt(6, 1, 1)
            for at in range(0, len(whole), step):
                one.sendall(whole[at : at + step])
            one.sendall(GOOD)
            first, rest = wire.one_answer(one)
            second, _ = wire.one_answer(one, rest)
        assert wire.statuses(first + second) == [200, 200]
        assert served.app.seen[-2:] == [("POST", "/", b"hello"), ("GET", "/good", b"")]
