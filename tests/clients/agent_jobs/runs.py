"""Jobs of agent libraries in Python: a script each, in the library's environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.clients.agent_jobs.job import HERE, Place, Result, Unit, reported, run


def _jobs(script: str) -> Callable[[Place], Iterator[Result]]:
    def jobs(place: Place) -> Iterator[Result]:
        env = place.home(
            OPENAI_AGENTS_DISABLE_TRACING="1",
            LANGSMITH_TRACING="false",
            OPENAI_API_KEY="none",
            ANTHROPIC_API_KEY="none",
        )
        command = [str(place.installed), str(HERE / "libraries" / script), place.url, place.engine]
        yield from reported(run(command, env=env, cwd=place.folder, seconds=600))

    return jobs


UNITS = (
    Unit("agents-sdk", "agents", _jobs("run_agents_sdk.py"), ("sim", "max")),
    Unit("pydantic-ai", "agents", _jobs("run_pydantic_ai.py"), ("sim", "max")),
    Unit("langchain", "chains", _jobs("run_langchain.py"), ("sim", "max")),
    Unit("instructor", "chains", _jobs("run_instructor.py"), ("sim", "max")),
)

__all__ = ("UNITS",)
