"""Wire requests in the core's words. Pure: what must be asked of a model is asked by the routes."""

from __future__ import annotations

from hyperllama.embedding import EmbeddingRequest
from hyperllama.errors import InvalidRequest
from hyperllama.generation import AnyJson, GenerationRequest, JsonSchema, OutputFormat
from hyperllama.messages import Chat, Image, Input, Message, Part, Prompt, Text
from hyperllama.models import ModelInfo
from hyperllama_ollama import options, template, wire
from hyperllama_ollama.decode import conversation
from hyperllama_ollama.decode.shape import Body
from hyperllama_ollama.encode.text import quote
from hyperllama_ollama.errors import Failure

MAX_TOP_LOGPROBS = 20


def check_logprobs(request: wire.GenerateRequest | wire.ChatRequest) -> None:
    if not 0 <= request.top_logprobs <= MAX_TOP_LOGPROBS:
        raise InvalidRequest(f"top_logprobs must be between 0 and {MAX_TOP_LOGPROBS}", param="top_logprobs")


def check_think(request: wire.GenerateRequest | wire.ChatRequest, info: ModelInfo) -> None:
    if request.think and "thinking" not in info.capabilities:
        raise InvalidRequest(f"{quote(request.model)} does not support thinking", param="think")


def chat(request: wire.ChatRequest, body: Body, info: ModelInfo) -> GenerationRequest:
    said = options.parse(request.options)
    return GenerationRequest(
        model=info.name,
        input=Chat((*info.messages, *conversation.messages(request.messages))),
        sampling=options.sampling(said, info.parameters, logprobs=_logprobs(request)),
        tools=conversation.tools(request.tools),
        output=_output(request, body),
        reasoning=_reasoning(request, info),
        keep_alive=request.keep_alive,
        context_length=options.context_length(said),
    )


def generate(request: wire.GenerateRequest, body: Body, info: ModelInfo) -> GenerationRequest:
    """Without ``context``: what it adds to the prompt is known only to the model's tokenizer."""
    said = options.parse(request.options)
    return GenerationRequest(
        model=info.name,
        input=_prompt(request, info),
        sampling=options.sampling(said, info.parameters, logprobs=_logprobs(request)),
        output=_output(request, body),
        reasoning=_reasoning(request, info),
        keep_alive=request.keep_alive,
        system=request.system or None,
        template=request.template if _is_jinja(request) else None,
        context_length=options.context_length(said),
        return_token_ids=not request.raw,
    )


def turn(request: wire.GenerateRequest, info: ModelInfo) -> Input:
    """The new turn that follows ``context``: a system prompt, if there is one, and the user's message."""
    if request.template:
        return Prompt(_rendered(request, info))
    system = request.system or info.system
    said = (Message(role="system", parts=(Text(system),)),) if system else ()
    return Chat((*said, _user(request)))


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


def _prompt(request: wire.GenerateRequest, info: ModelInfo) -> Input:
    rendered = bool(request.template) and not _is_jinja(request)
    if not (request.raw or request.suffix or rendered or "chat" not in info.capabilities):
        return Chat((_user(request),))
    if request.images:
        raise InvalidRequest(
            "images need the model's own chat template: send no raw, suffix or template", param="images"
        )
    if rendered:
        return Prompt(_rendered(request, info))
    system = f"{request.system}\n\n" if request.system and not request.suffix else ""
    return Prompt(system + request.prompt, suffix=request.suffix or None)


def _is_jinja(request: wire.GenerateRequest) -> bool:
    """Go's templates have no ``{%``; those of Hugging Face models always do, and only an engine can render them."""
    return "{%" in request.template


def _rendered(request: wire.GenerateRequest, info: ModelInfo) -> str:
    system = request.system or info.system or ""
    said = [("system", system)] if system else []
    messages = [
        {"Role": role, "Content": content, "Thinking": "", "ToolCalls": (), "ToolName": "", "Images": ()}
        for role, content in (*said, ("user", request.prompt))
    ]
    think = _reasoning(request, info)
    data: dict[str, template.Value] = {
        "System": system,
        "Prompt": request.prompt,
        "Suffix": request.suffix,
        "Response": "",
        "Messages": messages,
        "Tools": (),
        "Think": bool(think),
        "ThinkLevel": think if isinstance(think, str) else "",
        "IsThinkSet": request.think is not None,
    }
    return template.render(template.parse(request.template), data)


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
    """A model that thinks does so unless told not to; to another one there is nothing to say."""
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
    "turn",
)
