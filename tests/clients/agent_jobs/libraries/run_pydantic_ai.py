"""Jobs of pydantic-ai, with three of its models and its three ways to an object."""

from __future__ import annotations

from typing import Any

from anthropic import AsyncAnthropic
from openai import AsyncOpenAI
from outcomes import AGENT, ENGINE, EXTRACT, PROMPTED, TYPED, URL, V1, WEATHER, Skip, report
from pydantic import BaseModel, Field
from pydantic_ai import Agent, BinaryContent, NativeOutput, PromptedOutput, ToolOutput
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

SETTINGS = {"temperature": 0, "max_tokens": 120}


class Person(BaseModel):
    name: str = Field(max_length=24)
    age: int = Field(ge=0, le=150)


def openai(kind: type, name: str) -> Any:
    return kind(name, provider=OpenAIProvider(openai_client=AsyncOpenAI(base_url=V1, api_key="none", max_retries=0)))


def anthropic(name: str) -> Any:
    client = AsyncAnthropic(base_url=URL, api_key="none", max_retries=0)
    return AnthropicModel(name, provider=AnthropicProvider(anthropic_client=client))


def jobs(model: Any, *, native: bool) -> dict[str, Any]:
    ran: list[str] = []

    def agent(name: str = AGENT, **more: Any) -> Agent:
        return Agent(model(name), system_prompt="Be brief.", model_settings=SETTINGS, retries=2, **more)

    def tools() -> Agent:
        made = agent()

        @made.tool_plain
        def get_weather(city: str) -> str:
            """Get the weather in a city."""
            ran.append(city)
            return f"It is sunny in {city}"

        ran.clear()
        return made

    async def answer() -> None:
        assert (await agent().run("Say hello")).output

    async def streamed() -> None:
        async with agent().run_stream("Say hello") as result:
            assert "".join([piece async for piece in result.stream_text(delta=True)])

    async def loop() -> None:
        assert (await tools().run(WEATHER)).output
        assert ran[0] == "Oslo"

    async def second() -> None:
        first = await tools().run(WEATHER)
        assert (await tools().run(WEATHER, message_history=first.all_messages())).output

    async def document() -> None:
        text = BinaryContent(b"The gateway listens on port 11434.", media_type="text/plain")
        assert (await agent().run(["Read this", text])).output

    def typed(way: Any) -> Any:
        async def work() -> None:
            if (by_will := isinstance(way, PromptedOutput)) and ENGINE != "sim":
                raise Skip("a small model follows no schema in the prompt")
            found = await agent(TYPED, output_type=way).run(PROMPTED if by_will else EXTRACT)
            assert isinstance(found.output, Person)

        return work

    found = {
        "answer": answer,
        "streamed answer": streamed,
        "tool loop": loop,
        "second turn": second,
        "text document": document,
        "forced tool": typed(ToolOutput(Person)),
        "prompted object": typed(PromptedOutput(Person)),
    }
    return {**found, "object": typed(NativeOutput(Person))} if native else found


report("pydantic-ai, Chat", jobs(lambda name: openai(OpenAIChatModel, name), native=True))
report("pydantic-ai, Responses", jobs(lambda name: openai(OpenAIResponsesModel, name), native=True))
report("pydantic-ai, anthropic", jobs(anthropic, native=False))
