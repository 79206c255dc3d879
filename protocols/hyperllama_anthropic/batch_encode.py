"""Batches of the core in Anthropic's words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from hyperllama.spi import ENDED, Batch
from hyperllama_anthropic import batch_wire as wire


def batch(kept: Batch, base_url: str) -> wire.MessageBatch:
    """Return the batch; its results are at ``base_url``, which ends without a slash."""
    ended = kept.status in ENDED
    return wire.MessageBatch(
        id=kept.id,
        processing_status="ended" if ended else "canceling" if kept.status == "cancelling" else "in_progress",
        request_counts=_counts(kept) if ended else wire.BatchCounts(processing=kept.total),
        created_at=moment(kept.created),
        expires_at=moment(kept.expires),
        ended_at=moment(kept.moments[kept.status]) if ended and kept.status in kept.moments else None,
        cancel_initiated_at=moment(kept.moments["cancelling"]) if "cancelling" in kept.moments else None,
        results_url=f"{base_url}/v1/messages/batches/{kept.id}/results" if ended else None,
    )


def page(found: Sequence[Batch], limit: int, base_url: str, *, back: bool) -> wire.BatchPage:
    """Return a page. ``found`` holds one more than ``limit`` when there are more: the first where ``back``."""
    more = len(found) > limit
    shown = found[1:] if more and back else found[:limit]
    data = [batch(kept, base_url) for kept in shown]
    first, last = (data[0].id, data[-1].id) if data else (None, None)
    return wire.BatchPage(data=data, has_more=more, first_id=first, last_id=last)


def moment(seconds: float) -> str:
    """Return unix seconds as RFC 3339 writes them, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _counts(kept: Batch) -> wire.BatchCounts:
    """Return the outcomes of a batch that has ended; of one that failed as a whole every request errored."""
    if kept.status == "failed":
        return wire.BatchCounts(errored=kept.total)
    cancelled = kept.status == "cancelled"
    return wire.BatchCounts(
        succeeded=kept.completed,
        errored=kept.failed - kept.unrun,
        canceled=kept.unrun if cancelled else 0,
        expired=0 if cancelled else kept.unrun,
    )


__all__ = ("batch", "moment", "page")
