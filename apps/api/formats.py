"""JSON in, JSON out, whatever a client says that it accepts."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.http import HttpRequest
from rest_framework.exceptions import ParseError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

OPTIONS = orjson.OPT_NON_STR_KEYS


class JsonRenderer(BaseRenderer):
    media_type = "application/json"
    format = "json"
    charset = None

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else orjson.dumps(data, option=OPTIONS)


class JsonParser(BaseParser):
    """A missing body, and `null`, are the same as `{}`."""

    media_type = "application/json"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None) -> Any:
        # the request refuses what is larger than DATA_UPLOAD_MAX_MEMORY_SIZE; what was read of it before is a copy
        text = stream.body if isinstance(stream, HttpRequest) else stream.read()
        if not text.strip():
            return {}
        try:
            found = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise ParseError(f"The body is no JSON: {error}.") from None
        return {} if found is None else found


class AlwaysJson(BaseContentNegotiation):
    """The first parser that takes the body's type, and the only renderer."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        sent = (request.content_type or "").partition(";")[0].strip().lower()
        is_json = sent == JsonParser.media_type or sent.endswith("+json")
        return next((parser for parser in parsers if parser.media_type == sent or is_json), None)

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
