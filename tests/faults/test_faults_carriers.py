"""Credentials sent in several headers of one request: one verdict, whichever comes first."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.live import answer, keys

GOOD, OTHER, BAD = "good-secret", "other-secret", "nobody-secret"
CONFIG = '[models.sim]\nengine = "sim"\n' + keys(good="", other="")
#: Every way to carry a token, as a line of the head.
CARRIERS = ("Authorization: Bearer {}", "authorization: bearer {}", "X-Api-Key: {}", "api-key: {}")
PAIRS = tuple(itertools.product(CARRIERS, CARRIERS))
#: Lines that carry no token, and so change nothing.
SILENT = ("Authorization: Basic Z29vZDpzZWNyZXQ=", "Authorization: Bearer ", "X-Api-Key: ", "Authorization: ")


@pytest.fixture(scope="module")
def status(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The status of a request with these lines in its head."""
    from tests.support.live import Live

    live = Live(CONFIG, tmp_path_factory.mktemp("carriers"))

    def ask(*lines: str) -> int:
        client = live.connect()
        head = "\r\n".join(("GET /v1/models HTTP/1.1", "Host: localhost", *lines))
        client.sendall(head.encode("latin-1") + b"\r\n\r\n")
        return answer(client)[0]

    yield ask
    live.stop()


@pytest.mark.parametrize("second", [OTHER, BAD])
@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_two_different_keys_are_refused_in_either_order(
    status: Callable[..., int], one: str, two: str, second: str
) -> None:
    assert status(one.format(GOOD), two.format(second)) == 400
    assert status(two.format(second), one.format(GOOD)) == 400


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_one_key_carried_twice_is_one_key(status: Callable[..., int], one: str, two: str) -> None:
    assert status(one.format(GOOD), two.format(GOOD)) == 200
    assert status(one.format(BAD), two.format(BAD)) == 401


@pytest.mark.parametrize("silent", SILENT)
@pytest.mark.parametrize("carrier", CARRIERS)
def test_a_line_without_a_token_changes_no_verdict(status: Callable[..., int], carrier: str, silent: str) -> None:
    for key, expected in ((GOOD, 200), (BAD, 401)):
        assert status(carrier.format(key), silent) == expected
        assert status(silent, carrier.format(key)) == expected


@pytest.mark.parametrize("line", ["Authorization: Basic YTpnb29kLXNlY3JldA==", "authorization: basic Z29vZC1zZWNyZXQ6"])
def test_b09_basic_alone_is_a_key_and_beside_a_key_it_is_a_proxys(status: Callable[..., int], line: str) -> None:
    """A page of the proxy's own: it lets nobody in whom the key does not let in, and keeps nobody out."""
    assert status(line) == 200
    for carrier in CARRIERS:
        for order in ((line, carrier.format(BAD)), (carrier.format(BAD), line)):
            assert status(*order) == 401
        assert status(line, carrier.format(GOOD)) == status(line, carrier.format(OTHER)) == 200


@pytest.mark.parametrize("mark", ["\xa0", "\x85", "\xa0 ", " \x85"])
@pytest.mark.parametrize("carrier", CARRIERS)
def test_only_ascii_blanks_around_a_key_are_not_part_of_it(status: Callable[..., int], carrier: str, mark: str) -> None:
    assert status(carrier.format(f" \t{GOOD} \t")) == 200
    assert status(carrier.format(f"{GOOD}{mark}")) == 401
    assert status(carrier.format(f"{mark}{GOOD}")) == 401
    assert status(carrier.format(f"{GOOD}{mark}"), carrier.format(GOOD)) == 400
