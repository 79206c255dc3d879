"""Jobs of OpenAI's Agents SDK, over Responses and over Chat Completions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from agents import (
    Agent,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)
from agents.mcp import MCPServerStdio
from openai import AsyncOpenAI
from outcomes import AGENT, ENGINE, EXTRACT, TYPED, V1, WEATHER, Skip, report
from pydantic import BaseModel, Field

set_tracing_disabled(True)
SERVER = Path(__file__).parents[1] / "mcp_server.py"
RAN: list[str] = []


@function_tool
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    RAN.append(city)
    return f"It is sunny in {city}"


class Person(BaseModel):
    name: str = Field(max_length=24)
    age: int = Field(ge=0, le=150)


def jobs(kind: type) -> dict[str, Any]:
    def agent(model: str = AGENT, **more: Any) -> Agent:
        client = AsyncOpenAI(base_url=V1, api_key="none", max_retries=0)
        made = kind(model=model, openai_client=client)
        settings = more.pop("model_settings", ModelSettings(temperature=0, max_tokens=120))
        return Agent(name="helper", instructions="Be brief.", model=made, model_settings=settings, **more)

    async def answer() -> None:
        assert (await Runner.run(agent(), "Say hello")).final_output

    async def streamed() -> None:
        result = Runner.run_streamed(agent(), "Say hello")
        events = [event.type async for event in result.stream_events()]
        assert "raw_response_event" in events
        assert result.final_output

    async def loop() -> None:
        RAN.clear()
        assert (await Runner.run(agent(tools=[get_weather]), WEATHER)).final_output
        assert RAN[0] == "Oslo"

    async def streamed_loop() -> None:
        RAN.clear()
        result = Runner.run_streamed(agent(tools=[get_weather]), WEATHER)
        async for _ in result.stream_events():
            pass
        assert RAN[0] == "Oslo"

    async def second() -> None:
        first = await Runner.run(agent(tools=[get_weather]), WEATHER)
        turn = [*first.to_input_list(), {"role": "user", "content": WEATHER}]
        assert (await Runner.run(agent(tools=[get_weather]), turn)).final_output

    async def session() -> None:
        kept = SQLiteSession("one")
        for _ in range(3):
            assert (await Runner.run(agent(tools=[get_weather]), WEATHER, session=kept)).final_output

    async def previous() -> None:
        if kind is not OpenAIResponsesModel:
            raise Skip("Chat Completions keep no state")
        first = await Runner.run(agent(tools=[get_weather]), WEATHER)
        again = await Runner.run(agent(tools=[get_weather]), WEATHER, previous_response_id=first.last_response_id)
        assert again.final_output

    async def typed() -> None:
        found = await Runner.run(agent(TYPED, output_type=Person), EXTRACT)
        assert isinstance(found.final_output, Person)

    async def forced() -> None:
        RAN.clear()
        settings = ModelSettings(temperature=0, max_tokens=60, tool_choice="required")
        stopping = agent(TYPED, tools=[get_weather], model_settings=settings, tool_use_behavior="stop_on_first_tool")
        assert (await Runner.run(stopping, "Hello")).final_output
        assert RAN

    async def handoff() -> None:
        if ENGINE != "sim":
            raise Skip("only the scripted engine hands over at will")
        RAN.clear()
        other = agent(tools=[get_weather], handoff_description="Knows the weather")
        other.name = "get_weatherman"
        first = agent(TYPED, handoffs=[other])
        result = await Runner.run(first, "transfer_to_get_weatherman")
        assert result.last_agent is other

    async def mcp() -> None:
        async with MCPServerStdio(params={"command": sys.executable, "args": [str(SERVER), "1"]}) as server:
            assert (await Runner.run(agent(mcp_servers=[server]), "Say hello")).final_output

    return {
        "answer": answer,
        "streamed answer": streamed,
        "tool loop": loop,
        "streamed tool loop": streamed_loop,
        "second turn": second,
        "resumed": session,
        "previous response": previous,
        "object": typed,
        "forced tool": forced,
        "handoff": handoff,
        "MCP tool": mcp,
    }


report("Agents SDK, Responses", jobs(OpenAIResponsesModel))
report("Agents SDK, Chat", jobs(OpenAIChatCompletionsModel))
