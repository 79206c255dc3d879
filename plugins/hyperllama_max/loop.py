"""MAX's scheduler on this thread: it takes requests and cancellations, returns results, and survives errors."""

from __future__ import annotations

import collections
import logging
import queue
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, TypeAlias

from hyperllama_max.build import Built

Results: TypeAlias = dict[Any, Any]  # MAX's RequestID to its SchedulerResult


class Inbox:
    """The queue that MAX pulls from, over a deque whose ends are cheap and atomic."""

    def __init__(self, wanted: Callable[[Any], bool] | None = None) -> None:
        """Take ``wanted``: items for which it returns False when they are pulled are dropped. None: none are."""
        self.items: collections.deque[Any] = collections.deque()
        self._wanted = wanted

    def get_nowait(self) -> Any:
        try:
            item = self.items.popleft()
            while self._wanted is not None and not self._wanted(item):
                item = self.items.popleft()
        except IndexError:
            raise queue.Empty from None
        return item


class SchedulerLoop:
    """MAX's scheduler. ``submit``, ``cancel`` and ``stop`` are for the I/O thread; ``run`` is for the main thread.

    ``deliver`` is called on the main thread, once a step, with the results of all rows.
    """

    def __init__(self, built: Built, deliver: Callable[[Results], None]) -> None:
        from max.serve.config import Settings
        from max.serve.scheduler import load_scheduler
        from max.serve.worker_interface import WorkerQueues

        self._pipeline = built.pipeline
        self._deliver = deliver
        # MAX forgets the cancellation of a request it has not read yet, so those are withheld from it here.
        self._requests = Inbox(lambda context: context.request_id in self._live)
        self._cancels = Inbox()
        self._live: dict[Any, Any] = {}  # contexts by request id; changed on the I/O thread only
        self._wake = threading.Event()
        self._stopped = False
        self._began = 0.0
        self.steps = 0
        queues = WorkerQueues(self._requests, self, self._cancels)
        self._scheduler = load_scheduler(built.pipeline, built.config, Settings(), queues, built.plan)

    # --- I/O thread

    def submit(self, *contexts: Any) -> None:
        """Submit contexts; those of one call go in at once, so that no step begins with a part of them."""
        for context in contexts:
            self._live[context.request_id] = context
        self._requests.items.extend(contexts)
        self._wake.set()

    def cancel(self, request_id: Any) -> None:
        """Cancel a request; at most one more result of it is delivered."""
        if self._live.pop(request_id, None) is not None:
            self._cancels.items.append([request_id])
            self._wake.set()

    def forget(self, request_id: Any) -> None:
        """Forget a request that is finished."""
        self._live.pop(request_id, None)

    def stop(self) -> None:
        self._stopped = True
        self._wake.set()

    @property
    def active(self) -> int:
        return len(self._live)

    @property
    def busy(self) -> float:
        """Return the seconds the present step has run; 0 if none is running."""
        began = self._began
        return time.monotonic() - began if began else 0.0

    # --- main thread

    def put_nowait(self, results: Results) -> None:
        """Deliver results, as MAX's queue protocol requires."""
        self._deliver(results)

    def run(self) -> None:
        from max.serve.scheduler.base import SchedulerProgress

        idle = SchedulerProgress.NO_PROGRESS
        iterate = self._scheduler.run_iteration
        while not self._stopped:
            self._began = time.monotonic()
            try:
                progress = iterate()
            except Exception as error:  # noqa: BLE001 - one bad request must not take the model away from all others
                traceback.print_exc()
                self._recover(error)
                continue
            if progress is idle:
                self._began = 0.0
                if not self._requests.items and not self._stopped:
                    self._wake.wait()
                self._wake.clear()
            else:
                self.steps += 1
        self._began = 0.0

    def _recover(self, error: Exception) -> None:
        """Give back what the rows of the broken step hold, and fail everything that was in the scheduler."""
        from max.serve.scheduler_result import SchedulerResult

        waiting = {context.request_id for context in list(self._requests.items)}
        failed: Results = {}
        for request_id, context in list(self._live.items()):
            if request_id in waiting:
                continue
            try:
                self._release(request_id, context)
            except Exception:
                logging.getLogger("hyperllama").exception("a request could not be released")
            failed[request_id] = SchedulerResult.failed(f"{type(error).__name__}")
        self._deliver(failed)

    def _release(self, request_id: Any, context: Any) -> None:
        constructor = getattr(self._scheduler, "batch_constructor", None)
        if constructor is None:
            return
        if constructor.contains(request_id):
            constructor.release_request(request_id)
            return
        manager = self._pipeline.kv_manager
        if manager.contains(context):
            manager.release(context)
            self._pipeline.release(request_id)


__all__ = ("Inbox", "Results", "SchedulerLoop")
