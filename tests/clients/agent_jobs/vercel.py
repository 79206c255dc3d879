"""Jobs of the AI SDK: ``vercel.mjs`` in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from tests.clients.agent_jobs.job import HERE, Place, Result, Unit, reported, run


def jobs(place: Place) -> Iterator[Result]:
    """Yield the results of all providers."""
    (place.folder / "node_modules").symlink_to(place.installed)  # modules are found from where the script lies
    shutil.copy(HERE / "vercel.mjs", place.folder)
    env = place.home(AI_SDK_LOG_WARNINGS="false")
    yield from reported(run(["node", "vercel.mjs", place.url, place.engine], env=env, cwd=place.folder, seconds=600))


UNIT = Unit("vercel", "node", jobs, ("sim", "max"), package="ai")

__all__ = ("UNIT",)
