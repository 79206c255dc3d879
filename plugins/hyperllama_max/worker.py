"""MAX inside its host: its scheduler on the main thread, requests and tokens on the I/O thread."""

from __future__ import annotations

import collections
import contextlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from hyperllama.embedding import EmbeddingRequest, Embeddings
from hyperllama.errors import EngineFailed, GatewayError, InvalidRequest, LoadFailed, UnsupportedFeature
from hyperllama.generation import Effort, GenerationRequest, Rendering, TokenChunk, ToolSpec
from hyperllama.host import Channel, Deadline, Jobs, Pulse
from hyperllama.messages import Input
from hyperllama.models import ModelInfo, ModelSpec
from hyperllama.spi import Report
from hyperllama_max import build as builder
from hyperllama_max import files as model_files
from hyperllama_max import pooling, support
from hyperllama_max.answers import Answer
from hyperllama_max.contexts import Admission, Model
from hyperllama_max.describe import describe
from hyperllama_max.embeddings import Embedder
from hyperllama_max.files import ModelFiles
from hyperllama_max.gguf_folder import laid_out
from hyperllama_max.grammar import GrammarCompiler
from hyperllama_max.loop import Results, SchedulerLoop
from hyperllama_max.parsers import parser_of
from hyperllama_max.progress import LoadReporter
from hyperllama_max.renderings import Renderings
from hyperllama_max.sampling import Defaults, Limits
from hyperllama_max.settings import MaxOptions, options
from hyperllama_max.template import ChatTemplate
from hyperllama_max.vocabulary import Vocabulary

THREADS: Final = 2  # for prompts that are large
INLINE: Final = 4096  # cost, about characters, of what is rendered and encoded at once


class MaxWorker:
    """The worker of this engine's hosts."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._arrived: collections.deque[Results] = collections.deque()
        self._woken = False
        self._answers: dict[str, Answer] = {}
        self._loop: SchedulerLoop | None = None
        self._admission: Admission | None = None
        self._embedder: Embedder | None = None
        self._vocabulary: Vocabulary | None = None
        self._jobs = Jobs("prepare", threads=THREADS, inline=INLINE)

    # --- main thread

    def load(self, spec: ModelSpec, path: Path | None, settings: dict[str, Any], report: Report) -> ModelInfo:
        if path is None:
            raise LoadFailed("there are no files to load")
        _log_to_gateway()
        info, chosen = describe(spec, path), options(spec)
        cache = Path(settings["cache"])
        files = model_files.read(path, f"models.{spec.name}")
        if files.told:
            files = laid_out(files, support.encoding(spec, files), cache)
        built = builder.build(
            spec,
            files,
            info,
            chosen,
            cache,
            settings.get("compile_memory"),
            lambda estimate: LoadReporter(report, estimate),
        )
        self._loop = loop = SchedulerLoop(built, self._deliver)
        delegate = built.tokenizer.delegate
        self._vocabulary = vocabulary = Vocabulary(
            delegate,
            add_bos=not built.embeds and files.tokenizer_config.get("add_bos_token") is not False,
        )
        length = built.plan.planned_max_length or info.context_length
        size = files.vocab_size or vocabulary.size
        if built.embeds:
            length = min(length, files.positions or length)
            self._embedder = Embedder(
                loop,
                vocabulary,
                self._jobs,
                limit=length,
                size=size,
                pooling=pooling.read(files, f"models.{spec.name}"),
            )
        info = msgspec.structs.replace(
            info, context_length=length, max_batch_size=built.pipeline.max_batch_size, vocab_size=size
        )
        if not built.embeds:
            if not built.tells_logprobs:
                info = msgspec.structs.replace(info, capabilities=info.capabilities - {"logprobs"}, max_logprobs=0)
            self._admission = Admission(_model(spec, files, info, chosen, built, vocabulary, self._jobs))
        return info

    def run(self) -> None:
        self._started().run()

    # --- I/O thread

    def stop(self) -> None:
        self._started().stop()

    def pulse(self) -> Pulse:
        loop = self._started()
        return Pulse(steps=loop.steps, busy=loop.busy, active=loop.active)

    async def submit(self, id: int, request: GenerationRequest) -> None:
        if self._admission is None:
            raise UnsupportedFeature("This model makes embeddings; it does not generate text.", param="model")
        admitted = await self._admission.admit(id, request)
        if admitted.context is None:
            last = admitted.answer.empty()
            self._channel.later(lambda: self._channel.step([(id, last)]))
            return
        self._answers[str(id)] = admitted.answer
        self._started().submit(admitted.context)

    def cancel(self, id: int) -> None:
        from max.pipelines.request import RequestID

        if self._answers.pop(str(id), None) is not None:
            self._started().cancel(RequestID(str(id)))

    async def embed(self, request: EmbeddingRequest) -> Embeddings:
        if self._embedder is None:
            raise UnsupportedFeature("This model generates text; it does not make embeddings.", param="model")
        return await self._embedder.embed(request)

    async def tokenize(
        self,
        input: Input,
        *,
        tools: Sequence[ToolSpec] = (),
        reasoning: bool | Effort | None = None,
        rendering: Rendering | None = None,
    ) -> tuple[int, ...]:
        if self._admission is not None:
            ids = await self._admission.encode(input, tools=tuple(tools), reasoning=reasoning, rendering=rendering)
            return tuple(ids)
        text, vocabulary = getattr(input, "text", None), self._vocabulary
        if vocabulary is None or not isinstance(text, str):
            raise UnsupportedFeature("This model tokenizes plain text only.")
        return tuple(await self._jobs.run(lambda _: vocabulary.encode_plain(text), cost=len(text)))

    async def detokenize(self, ids: Sequence[int]) -> str:
        vocabulary = self._vocabulary

        def work(_: Deadline) -> str:
            if vocabulary is None or not vocabulary.knows(ids):
                raise UnsupportedFeature("A token id is not in the model's vocabulary.", param="tokens")
            return vocabulary.decode(ids)

        return await self._jobs.run(work, cost=len(ids))

    # --- results: put on the main thread, taken on the I/O thread

    def _deliver(self, results: Results) -> None:
        self._arrived.append(results)
        if not self._woken:
            self._woken = True
            self._channel.later(self._drain)

    def _drain(self) -> None:
        self._woken = False  # first, so that what arrives from now on wakes again
        chunks: list[tuple[int, TokenChunk]] = []
        broken: list[tuple[int, GatewayError]] = []
        deliver = self._embedder.deliver if self._embedder is not None else None
        while self._arrived:
            for request_id, result in self._arrived.popleft().items():
                if deliver is not None:
                    deliver(request_id, result)
                else:
                    self._take(request_id, result, chunks, broken)
        if chunks:
            self._channel.step(chunks)
        if broken:
            self._channel.fail(broken)

    def _take(
        self, request_id: Any, result: Any, chunks: list[tuple[int, TokenChunk]], broken: list[tuple[int, GatewayError]]
    ) -> None:
        answer = self._answers.get(request_id.value)
        if answer is None:
            return
        output = result.result
        if output is not None:
            try:
                chunk = answer.chunk(output)
            except Exception:
                logging.getLogger("hyperllama").exception("an answer could not be put into words")
                broken.append((answer.number, EngineFailed("The engine's answer could not be put into words.")))
                self.cancel(answer.number)
                return
            if chunk is not None:
                chunks.append((answer.number, chunk))
            if not output.is_done:
                return
        else:
            broken.append(
                (answer.number, EngineFailed(f"The engine failed in this step: {result.error or 'cancelled'}."))
            )
        del self._answers[request_id.value]
        self._started().forget(request_id)

    def _started(self) -> SchedulerLoop:
        if self._loop is None:
            raise EngineFailed("the model is not loaded")
        return self._loop


def _log_to_gateway() -> None:
    """Log to the two streams of the host: stdout is for debugging, stderr for warnings."""
    loud, quiet = logging.StreamHandler(sys.stderr), logging.StreamHandler(sys.stdout)
    loud.setLevel(logging.WARNING)
    quiet.addFilter(lambda record: record.levelno < logging.WARNING)
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", handlers=[loud, quiet], force=True)


def _model(
    spec: ModelSpec,
    files: ModelFiles,
    info: ModelInfo,
    chosen: MaxOptions,
    built: builder.Built,
    vocabulary: Vocabulary,
    jobs: Jobs,
) -> Model:
    delegate = built.tokenizer.delegate
    ends = _ends(files, delegate)
    special = {name: str(value) for name, value in delegate.special_tokens_map.items() if isinstance(value, str)}
    return Model(
        info=info,
        vocabulary=vocabulary,
        jobs=jobs,
        renderings=_renderings(info, files, special, vocabulary),
        grammar=GrammarCompiler(delegate, vocabulary, built.pipeline.vocab_size or info.vocab_size, ends)
        if chosen.structured_output
        else None,
        limits=Limits(
            vocab_size=info.vocab_size,
            max_logprobs=info.max_logprobs,
            penalties=chosen.penalties,
            min_tokens=chosen.min_tokens,
            host_logits=spec.device.startswith("cpu"),
        ),
        ends=ends,
        parser=parser_of(built.architecture),
        apart=not chosen.shared_prefixes,
        adapters=frozenset(chosen.lora),
        images=_takes_images(built.architecture),
    )


def _renderings(info: ModelInfo, files: ModelFiles, special: dict[str, str], vocabulary: Vocabulary) -> Renderings:
    own = Rendering(system=info.system, template=info.template, parameters=info.parameters)
    found = Renderings(
        own,
        compile=lambda text: ChatTemplate(text, special, vocabulary.special_texts),
        defaults=lambda rendering: Defaults.of(rendering.parameters, files.generation_config),
    )
    if own.template:
        with contextlib.suppress(InvalidRequest):  # this name's fault; others may share the model
            found.template(own.template)
    return found


def _takes_images(architecture: Any) -> bool:
    from max.pipelines.context import TextAndVisionContext

    return issubclass(architecture.context_type, TextAndVisionContext)


def _ends(files: ModelFiles, delegate: Any) -> frozenset[int]:
    """Return every end-of-sequence id that the model's files name."""
    found: set[int] = set()
    for source in (
        files.generation_config.get("eos_token_id"),
        files.config.get("eos_token_id"),
        delegate.eos_token_id,
    ):
        if isinstance(source, int):
            found.add(source)
        elif isinstance(source, list):
            found.update(number for number in source if isinstance(number, int))
    return frozenset(found)


__all__ = ("MaxWorker",)
