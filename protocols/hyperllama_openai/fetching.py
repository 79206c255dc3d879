"""Images and files named by URL or id, and documents, put in their places before a request is decoded, which is pure.

Images come inline as data URLs, documents as text.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from msgspec.structs import replace

from hyperllama.errors import UnsupportedFeature
from hyperllama.identity import Principal
from hyperllama.models import ModelInfo
from hyperllama.spi import Gateway
from hyperllama.web import MAX_IMAGES, Documents, Fetcher, InlineImages, NotFetched, TooManyImages
from hyperllama_openai.errors import InvalidImage, InvalidValue, MissingParameter
from hyperllama_openai.wire.chat import ChatRequest, ContentPart, ImageUrl
from hyperllama_openai.wire.responses import Item, Part

P = TypeVar("P", ContentPart, Part)

_MAX_DOCUMENTS = 20  # by URL in one request
_MAX_FILE = 20 * 1024 * 1024  # bytes of an image by id


class Sources:
    """The sources of one dialect's images and documents."""

    def __init__(self, fetcher: Fetcher, documents: Documents) -> None:
        """Take the fetcher of what is named by URL and the reader of documents."""
        self.fetcher = fetcher
        self.documents = documents

    def of(self, info: ModelInfo, gateway: Gateway, principal: Principal) -> Inliner:
        """Return the inliner of one request."""
        return Inliner(self, info, gateway, principal)


class Inliner:
    """The images and documents of one request."""

    def __init__(self, sources: Sources, info: ModelInfo, gateway: Gateway, principal: Principal) -> None:
        self._fetches = bool(sources.fetcher) and "vision" in info.capabilities
        self._fetcher = sources.fetcher
        self._images = InlineImages(sources.fetcher)
        self._documents_fetched = 0
        self._documents = sources.documents.of_request(principal.id)
        self._gateway = gateway
        self._principal = principal

    async def chat(self, part: ContentPart, param: str) -> ContentPart:
        """Return a part of a chat message with what it names in its place. Raise InvalidRequest or NotFound."""
        if part.type == "file":
            if part.file is None:
                raise MissingParameter(f"Missing required parameter: '{param}.file'.", param=f"{param}.file")
            file = part.file
            text = await self._document(f"{param}.file", file.file_data, file.file_id, None, file.filename)
            return ContentPart(type="text", text=text)
        return await self._image(part, param)

    async def item(self, part: Part, param: str) -> Part:
        """Return a part of an input item with what it names in its place. Raise InvalidRequest or NotFound."""
        if part.type == "input_file":
            text = await self._document(param, part.file_data, part.file_id, part.file_url, part.filename)
            return Part(type="input_text", text=text)
        if part.type == "input_image" and part.image_url is None and part.file_id is not None:
            data, _ = await self._file(part.file_id, _MAX_FILE)
            if data is None:
                raise InvalidImage(f"The image in '{param}' is over {_MAX_FILE >> 20} MiB.", param=f"{param}.file_id")
            return replace(part, image_url=f"data:;base64,{b64encode(data).decode('ascii')}", file_id=None)
        return await self._image(part, param)

    async def _document(
        self, param: str, data: str | None, file_id: str | None, url: str | None, name: str | None
    ) -> str:
        if data is not None:
            return await self._inline(data, name or "", f"{param}.file_data")
        if file_id is not None:
            found, filename = await self._file(file_id, self._documents.left)
            if found is None:
                return self._documents.left_out(name=name or filename)
            return await self._documents.text(found, "", name or filename)
        if url is not None:
            return await self._fetched(url, name, f"{param}.file_url")
        raise MissingParameter(f"Missing required parameter: '{param}.file_data'.", param=f"{param}.file_data")

    async def _fetched(self, url: str, name: str | None, param: str) -> str:
        """Return the text of the document at ``url``. Raise InvalidRequest."""
        if not self._fetcher:
            raise UnsupportedFeature(
                f"'{param}' cannot be used: this server fetches no documents; send it inline, as a data URL in "
                "'file_data'.",
                param=param,
            )
        self._documents_fetched += 1
        if self._documents_fetched > _MAX_DOCUMENTS:
            raise InvalidValue(f"At most {_MAX_DOCUMENTS} documents by URL are allowed.", param=param)
        if not self._documents.left:
            return self._documents.left_out(name=name or "")
        try:
            data = await self._fetcher.fetch(url, max_bytes=self._documents.left)
        except NotFetched as error:
            raise InvalidValue(f"The document in '{param}' cannot be fetched: {error}.", param=param) from error
        return await self._documents.text(data, "", name or unquote(urlsplit(url).path.rpartition("/")[2]))

    async def _inline(self, data: str, name: str, param: str) -> str:
        """Return the text of a data URL, or of bare base64 as some clients send it."""
        media_type, encoded, plain = "", data, False
        if data[:5].lower() == "data:":
            head, comma, encoded = data[5:].partition(",")
            if not comma:
                raise InvalidValue(f"Invalid value for '{param}': expected a data URL.", param=param)
            plain = not head.lower().endswith(";base64")
            media_type = head if plain else head[: -len(";base64")]
        if plain:
            return await self._documents.text(unquote_to_bytes(encoded), media_type or "text/plain", name)
        try:
            return await self._documents.base64_text(encoded, media_type, name)
        except ValueError as error:
            raise InvalidValue(f"Invalid value for '{param}': it is {error}.", param=param) from error

    async def _file(self, id: str, most: int) -> tuple[bytes | None, str]:
        """Return the bytes of one of the caller's files, None for over ``most``, and its name. Raise NotFound."""
        file = await self._gateway.files.get(id[:128], self._principal)
        if file.bytes > most:
            return None, file.filename
        return b"".join([piece async for piece in self._gateway.files.read(file)]), file.filename

    async def _image(self, part: P, param: str) -> P:
        url = part.image_url.url if isinstance(part.image_url, ImageUrl) else part.image_url
        if not self._fetches or url is None or not url[:8].lower().startswith(("http:", "https:")):
            return part
        try:
            text = await self._images.fetch(url)
        except TooManyImages as error:
            raise InvalidValue(f"At most {MAX_IMAGES} images are allowed.", param=param) from error
        except NotFetched as error:
            raise InvalidImage(
                f"The image in '{param}' cannot be fetched: {error}.", param=f"{param}.image_url"
            ) from error
        return replace(part, image_url=f"data:;base64,{text}")


async def chat(request: ChatRequest, inliner: Inliner) -> ChatRequest:
    """Return ``request`` with its images and documents inline. Raise InvalidRequest or NotFound."""
    messages = [
        replace(message, content=await _parts(message.content, f"messages[{index}].content", inliner.chat))
        if isinstance(message.content, list) and any(map(_named, message.content))
        else message
        for index, message in enumerate(request.messages)
    ]
    return replace(request, messages=messages)


async def items(found: list[Item], inliner: Inliner) -> list[Item]:
    """Return the input items of a response with their images and documents inline. Raise InvalidRequest or NotFound."""
    return [await _item(item, f"input[{index}]", inliner) for index, item in enumerate(found)]


async def _item(item: Item, param: str, inliner: Inliner) -> Item:
    changed = {
        name: await _parts(parts, f"{param}.{name}", inliner.item)
        for name in ("content", "output")
        if isinstance(parts := getattr(item, name), list) and any(map(_named, parts))
    }
    return replace(item, **changed) if changed else item


def _named(part: ContentPart | Part) -> bool:
    """Return whether a part may have to be replaced."""
    return part.type in ("file", "input_file", "input_image", "image_url")


async def _parts(parts: Sequence[P], param: str, inline: Callable[[P, str], Awaitable[P]]) -> list[P]:
    return [await inline(part, f"{param}[{index}]") for index, part in enumerate(parts)]


__all__ = ("Inliner", "Sources", "chat", "items")
