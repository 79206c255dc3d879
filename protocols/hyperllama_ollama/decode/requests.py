"""Wire requests as the core has them. Pure: the routes do what needs a model."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import InvalidRequest
from hyperllama.generation import AnyJson, GenerationRequest, JsonSchema, OutputFormat
from hyperllama.messages import Chat, Image, Input, Message, Part, Prompt, Text
from hyperllama.models import ModelInfo
from hyperllama_ollama import options, template, wire
from hyperllama_ollama.decode import conversation, prompting
from hyperllama_ollama.decode.prompting import Turn
from hyperllama_ollama.decode.shape import Body
from hyperllama_ollama.encode.text import quote
from hyperllama_ollama.errors import Failure

MAX_TOP_LOGPROBS = 20


def check_logprobs(request: wire.GenerateRequest | wire.ChatRequest) -> None:
    """Raise InvalidRequest for more alternatives than Ollama gives."""
    if not 0 <= request.top_logprobs <= MAX_TOP_LOGPROBS:
        raise InvalidRequest(f"top_logprobs must be between 0 and {MAX_TOP_LOGPROBS}", param="top_logprobs")


def check_think(request: wire.GenerateRequest | wire.ChatRequest, info: ModelInfo) -> None:
    """Raise InvalidRequest when thinking is requested of a model that cannot think."""
    if request.think and "thinking" not in info.capabilities:
        raise InvalidRequest(f"{quote(request.model)} does not support thinking", param="think")


def chat(
    request: wire.ChatRequest, body: Body, info: ModelInfo, *, budget: template.Budget | None = None
) -> GenerationRequest:
    """Return the core's request. ``budget``: of the work that a template in Go's language may cause."""
    said = options.parse(request.options)
    return GenerationRequest(
        model=info.name,
        input=_conversation(request, info, budget),
        sampling=options.sampling(said, info.parameters, logprobs=_logprobs(request)),
        tools=conversation.tools(request.tools),
        output=_output(request, body),
        reasoning=_reasoning(request, info),
        keep_alive=request.keep_alive,
        context_length=options.context_length(said, info.num_ctx),
    )


def shortened(request: wire.ChatRequest, start: int, *, question: bool) -> wire.ChatRequest:
    """Return ``request`` without its messages before number ``start``, except those that speak as the system.

    ``question``: the last one of the user before that is kept, too.
    """
    roles = [conversation.role(message) for message in request.messages[:start]]
    kept = [number for number, role in enumerate(roles) if role == "system"]
    if question:
        kept += [number for number, role in enumerate(roles) if role == "user"][-1:]
    before = [request.messages[number] for number in sorted(kept)]
    return msgspec.structs.replace(request, messages=(*before, *request.messages[start:]))


def generate(
    request: wire.GenerateRequest, body: Body, info: ModelInfo, *, budget: template.Budget | None = None
) -> GenerationRequest:
    """Return the core's request without ``context``: only the model's tokenizer knows what that adds to the prompt."""
    said = options.parse(request.options)
    return GenerationRequest(
        model=info.name,
        input=_prompt(request, info, budget),
        sampling=options.sampling(said, info.parameters, logprobs=_logprobs(request)),
        output=_output(request, body),
        reasoning=_reasoning(request, info),
        keep_alive=request.keep_alive,
        system=request.system or None,
        template=request.template if template.is_jinja(request.template) else None,
        context_length=options.context_length(said, info.num_ctx),
        return_token_ids=not request.raw,
    )


def turn(request: wire.GenerateRequest, info: ModelInfo, *, budget: template.Budget | None = None) -> Input:
    """Return the new turn that follows ``context``: a system prompt, if there is one, and the user's message."""
    if written := _template(request, info):
        return _rendered(written, _turns(request, info), request, info, budget)
    system = request.system or info.system
    said = (Message(role="system", parts=(Text(system),)),) if system else ()
    return Chat((*said, _user(request)), opened=True)


def embed(request: wire.EmbedRequest, inputs: tuple[str, ...], info: ModelInfo) -> EmbeddingRequest:
    return EmbeddingRequest(
        model=info.name,
        inputs=inputs,
        truncate=request.truncate is not False,
        dimensions=request.dimensions if 0 < request.dimensions < (info.embedding_length or 2**31) else None,
        keep_alive=request.keep_alive,
    )


def embedding(request: wire.EmbeddingRequest, info: ModelInfo) -> EmbeddingRequest:
    return EmbeddingRequest(
        model=info.name, inputs=(request.prompt,), normalize=False, truncate=False, keep_alive=request.keep_alive
    )


def _conversation(request: wire.ChatRequest, info: ModelInfo, budget: template.Budget | None) -> Input:
    """Return a prompt for a model with a template in Go's language, else the chat, as tools and images need it."""
    said = conversation.messages(request.messages)
    written = info.extra.get("template")
    if written and not request.tools and not any(turn.images or turn.tool_calls for turn in request.messages):
        turns = _spoken(*info.messages, *said)
        if info.system and said[0].role != "system":
            turns.insert(0, Turn("system", info.system))
        return _rendered(written, turns, request, info, budget)
    said, continued = conversation.beginning(said)
    # Engines put the model's system prompt where no message is a system message; Ollama, where the first is none.
    if info.system and said[0].role != "system" and any(turn.role == "system" for turn in (*info.messages, *said)):
        own = Message(role="system", parts=(Text(info.system),))
        return Chat((own, *info.messages, *said), continue_last=continued, opened=True)
    return Chat(said, continue_last=continued)


def _prompt(request: wire.GenerateRequest, info: ModelInfo, budget: template.Budget | None) -> Input:
    written = _template(request, info)
    if not (request.raw or request.suffix or written or "chat" not in info.capabilities):
        return Chat((_user(request),))
    if request.images:
        raise InvalidRequest(
            "images need the model's own chat template: send no raw, suffix or template", param="images"
        )
    if written:
        return _rendered(written, _turns(request, info), request, info, budget)
    system = f"{request.system}\n\n" if request.system and not request.suffix else ""
    return Prompt(system + request.prompt, suffix=request.suffix or None)


def _template(request: wire.GenerateRequest, info: ModelInfo) -> str:
    """Return the template in Go's language: the request's, else the model's; empty: there is neither."""
    if request.template:
        return "" if template.is_jinja(request.template) else request.template
    apart = request.raw or request.suffix or request.images
    return "" if apart else str(info.extra.get("template", ""))


def _turns(request: wire.GenerateRequest, info: ModelInfo) -> list[Turn]:
    system = request.system or info.system
    first = [Turn("system", system)] if system else []
    opening = [] if request.context else _spoken(*info.messages)
    return [*first, *opening, Turn("user", request.prompt)]


def _spoken(*messages: Message) -> list[Turn]:
    return [Turn(message.role, message.text, message.reasoning) for message in messages]


def _rendered(
    written: str,
    turns: Sequence[Turn],
    request: wire.GenerateRequest | wire.ChatRequest,
    info: ModelInfo,
    budget: template.Budget | None,
) -> Prompt:
    suffix = request.suffix if isinstance(request, wire.GenerateRequest) else ""
    think, said = _reasoning(request, info), request.think is not None
    return Prompt(prompting.prompt(written, turns, suffix=suffix, think=think, think_said=said, budget=budget))


def _user(request: wire.GenerateRequest) -> Message:
    parts: list[Part] = [Image(data) for data in request.images]
    return Message(role="user", parts=(*parts, Text(request.prompt)))


def _output(request: wire.GenerateRequest | wire.ChatRequest, body: Body) -> OutputFormat | None:
    match request.format:
        case None | "":
            return None
        case "json":
            return AnyJson()
        case dict() as schema:
            return JsonSchema(schema)
    shown = quote(body.written("format"))
    raise Failure(f'invalid format: {shown}; expected "json" or a valid JSON Schema object', param="format")


def _reasoning(request: wire.GenerateRequest | wire.ChatRequest, info: ModelInfo) -> wire.Think | None:
    """Return whether to think, and how much. A model that can think does so by default; None for one that cannot."""
    if "thinking" not in info.capabilities:
        return None
    return True if request.think is None else request.think


def _logprobs(request: wire.GenerateRequest | wire.ChatRequest) -> int | None:
    return request.top_logprobs if request.logprobs else None


__all__ = (
    "MAX_TOP_LOGPROBS",
    "chat",
    "check_logprobs",
    "check_think",
    "embed",
    "embedding",
    "generate",
    "shortened",
    "turn",
)
