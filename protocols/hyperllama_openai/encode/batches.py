"""Files and batches of the core in OpenAI's words."""

from __future__ import annotations

from collections.abc import Sequence

from hyperllama.generation import Usage
from hyperllama.spi import Status
from hyperllama.spi import storage as keeping
from hyperllama_openai.wire import files as wire


def file(kept: keeping.KeptFile) -> wire.File:
    return wire.File(
        id=kept.id,
        bytes=kept.bytes,
        created_at=int(kept.created),
        filename=kept.filename,
        purpose=kept.purpose,
        expires_at=int(kept.expires) if kept.expires is not None else None,
    )


def files(found: Sequence[keeping.KeptFile], limit: int) -> wire.FileList:
    """Return a page of files. ``found`` holds one more than ``limit`` when there are more."""
    data = [file(kept) for kept in found[:limit]]
    return wire.FileList(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=len(found) > limit,
    )


def batch(kept: keeping.Batch) -> wire.Batch:
    def at(status: Status) -> int | None:
        moment = kept.moments.get(status)
        return int(moment) if moment is not None else None

    return wire.Batch(
        id=kept.id,
        endpoint=kept.endpoint,
        model=kept.model or None,
        errors=_errors(kept.errors) if kept.errors else None,
        input_file_id=kept.input_file,
        status=kept.status,
        output_file_id=kept.output_file,
        error_file_id=kept.error_file,
        created_at=int(kept.created),
        in_progress_at=at("in_progress"),
        expires_at=int(kept.expires),
        finalizing_at=at("finalizing"),
        completed_at=at("completed"),
        failed_at=at("failed"),
        expired_at=at("expired"),
        cancelling_at=at("cancelling"),
        cancelled_at=at("cancelled"),
        request_counts=wire.RequestCounts(total=kept.total, completed=kept.completed, failed=kept.failed),
        usage=_usage(kept.usage),
        metadata=kept.notes or None,
    )


def batches(found: Sequence[keeping.Batch], limit: int) -> wire.BatchList:
    """Return a page of batches. ``found`` holds one more than ``limit`` when there are more."""
    data = [batch(kept) for kept in found[:limit]]
    return wire.BatchList(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=len(found) > limit,
    )


def _errors(errors: Sequence[keeping.BatchError]) -> wire.BatchErrors:
    return wire.BatchErrors(
        data=[wire.BatchError(code=e.code, line=e.line, message=e.message, param=e.param) for e in errors]
    )


def _usage(usage: Usage) -> wire.BatchUsage:
    return wire.BatchUsage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details=wire.InputTokensDetails(cached_tokens=usage.cached_tokens),
        output_tokens=usage.completion_tokens,
        output_tokens_details=wire.OutputTokensDetails(reasoning_tokens=usage.reasoning_tokens),
        total_tokens=usage.total_tokens,
    )


__all__ = ("batch", "batches", "file", "files")
