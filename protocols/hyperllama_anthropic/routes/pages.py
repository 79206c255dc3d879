"""Pages of lists, as every list of Anthropic's has them."""

from __future__ import annotations

from hyperllama_anthropic.batch_wire import PageQuery
from hyperllama_anthropic.errors import invalid


def check_page(query: PageQuery) -> PageQuery:
    """Return ``query``. Raise InvalidRequest for one that begins at both ends."""
    if query.after_id is not None and query.before_id is not None:
        raise invalid("before_id", "only one of 'after_id' and 'before_id' is allowed")
    return query


__all__ = ("check_page",)
