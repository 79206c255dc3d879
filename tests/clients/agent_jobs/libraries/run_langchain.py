"""Jobs of LangChain's agents, with three of its chat models; 60 turns over a context of 1,024 tokens."""

from __future__ import annotations

from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import trim_messages
from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI
from outcomes import AGENT, CALLED, ENGINE, EXTRACT, SMALL, TYPED, URL, V1, WEATHER, Skip, report
from pydantic import BaseModel, Field

TURNS = 60
RAN: list[str] = []


@tool
def get_weather(city: str) -> str:
    """Get the weather in a city."""
    RAN.append(city)
    return f"It is sunny in {city}"


class Person(BaseModel):
    """Somebody."""

    name: str = Field(max_length=24)
    age: int = Field(ge=0, le=150)


@wrap_model_call
def trimmed(request: Any, handler: Any) -> Any:
    """Send the last turns only, as an agent must over an API that refuses what is too long."""
    kept = trim_messages(
        request.messages,
        max_tokens=450,
        strategy="last",
        start_on="human",
        token_counter="approximate",
        include_system=True,
    )
    return handler(request.override(messages=kept))


def chat(name: str, **more: Any) -> Any:
    return ChatOpenAI(model=name, base_url=V1, api_key="none", temperature=0, max_tokens=120, max_retries=0, **more)


def responses(name: str) -> Any:
    return chat(name, use_responses_api=True)


def anthropic(name: str) -> Any:
    return ChatAnthropic(
        model=name, base_url=URL, api_key="none", temperature=0, max_tokens=120, max_retries=0, streaming=False
    )


def ollama(name: str) -> Any:
    return ChatOllama(model=name, base_url=URL, temperature=0, num_predict=120)


def jobs(model: Any, *, cuts: bool) -> dict[str, Any]:
    def answer() -> None:
        assert model(AGENT).invoke("Say hello").content

    def streamed() -> None:
        assert "".join(chunk.text for chunk in model(AGENT).stream("Say hello"))

    def loop() -> None:
        RAN.clear()
        agent = create_agent(model(AGENT), [get_weather], system_prompt="Be brief.")
        assert agent.invoke({"messages": [("user", WEATHER)]})["messages"][-1].content
        assert RAN[0] == "Oslo"

    def streamed_loop() -> None:
        RAN.clear()
        agent = create_agent(model(AGENT), [get_weather])
        assert list(agent.stream({"messages": [("user", WEATHER)]}, stream_mode="messages"))
        assert RAN[0] == "Oslo"

    def long() -> None:
        RAN.clear()
        middleware = [] if cuts else [trimmed]
        agent = create_agent(model(SMALL), [get_weather], system_prompt="Be brief.", middleware=middleware)
        messages: list[Any] = []
        for _ in range(TURNS):
            messages = agent.invoke({"messages": [*messages, ("user", WEATHER)]})["messages"]
        assert sum(message.type == "human" for message in messages) == TURNS
        assert len(RAN) >= TURNS / 2

    def typed(way: str) -> Any:
        def work() -> None:
            if (by_will := cuts and way == "function_calling") and ENGINE != "sim":  # Ollama's API can force no call
                raise Skip("only the scripted engine calls at will")
            assert isinstance(
                model(TYPED).with_structured_output(Person, method=way).invoke(CALLED if by_will else EXTRACT), Person
            )

        return work

    found = {
        "answer": answer,
        "streamed answer": streamed,
        "tool loop": loop,
        "streamed tool loop": streamed_loop,
        "60 turns over 1,024 tokens": long,
    }
    return {**found, "object": typed("json_schema"), "forced tool": typed("function_calling")}


report("LangChain, Chat", jobs(chat, cuts=False))
report("LangChain, Responses", jobs(responses, cuts=False))
report("LangChain, anthropic", jobs(anthropic, cuts=False))
report("LangChain, ollama", jobs(ollama, cuts=True))
