"""The API object: what django-ninja leaves open about errors, documents and parsing."""

import json
from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema
from ninja.parser import Parser

from oneapi_admin.lib.api.problems import MEDIA_TYPE, MalformedBodyError, Problem, add_handlers
from oneapi_admin.lib.errors import DomainError

ALWAYS = (400, 401, 403, 413, 415, 422, 429, 500, 503)
"""What any operation can answer beside what it declares."""
_EXACT = 2.0**53
"""From here on a float need not be the number that was written."""
_HEADERS = {
    "X-Oneapi-Request-Id": {
        "description": "Names the request in the operator's logs.",
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": 'What is left in this window, and the seconds until the next: `"token";r=598;t=42`.',
        "schema": {"type": "string"},
    },
}


class UnsupportedMediaTypeError(DomainError):
    code = "unsupported_media_type"
    http_status = 415
    message = _("The body has to be JSON in UTF-8, sent as “application/json”.")


class JsonParser(Parser):
    """Reads JSON as strictly as the document says it is read."""

    def parse_body(self, request: HttpRequest) -> Any:
        """
        :raises UnsupportedMediaTypeError: if the body is said to be something else
        :raises MalformedBodyError: if it is not JSON
        """
        if request.content_type != "application/json":
            raise UnsupportedMediaTypeError
        try:
            return json.loads(request.body.decode(), parse_constant=_refuse_constant, parse_float=_number)
        except UnicodeDecodeError as exc:
            raise MalformedBodyError(_("Byte %(at)s of the body is not UTF-8.") % {"at": exc.start}) from exc
        except json.JSONDecodeError as exc:
            place = {"line": exc.lineno, "column": exc.colno, "why": exc.msg}
            raise MalformedBodyError(
                _("The body is not valid JSON: line %(line)s, column %(column)s: %(why)s.") % place
            ) from exc
        except (RecursionError, ValueError) as exc:
            raise MalformedBodyError(
                str(_("The body is JSON that nests too deep or has a number that is none or too long."))
            ) from exc


def _number(text: str) -> int | float:
    """A number with a point; 5.0 is a whole one, as JSON Schema has it."""
    number = float(text)
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


class ManagementApi(NinjaAPI):
    """django-ninja with problems for errors, strict JSON, and a document that says so."""

    def __init__(self, **options: Any) -> None:
        super().__init__(parser=JsonParser(), **options)
        add_handlers(self)

    def get_openapi_schema(self, **options: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**options)
        schema["components"]["schemas"].update(_definitions())
        for methods in schema["paths"].values():
            for operation in methods.values():
                _complete(operation)
        return schema


def errors(*statuses: int) -> Mapping[int, None]:
    """The responses of an operation that are problems: ``response={200: Out, **errors(404)}``."""
    return dict.fromkeys(statuses)


def _definitions() -> dict[str, Any]:
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}", mode="serialization")
    return {**schema.pop("$defs"), "Problem": schema}


def _complete(operation: dict[str, Any]) -> None:
    """Say of every response what headers it has, and of every error that it is a problem."""
    responses: dict[Any, Any] = operation["responses"]
    has_input = "requestBody" in operation
    for status in ALWAYS:
        if status in (413, 415) and not has_input:
            continue
        if status in (401, 403) and "security" not in operation:
            continue
        responses.setdefault(status, {"description": ""})
    if any(parameter["name"] == "Idempotency-Key" for parameter in operation["parameters"]):
        responses.setdefault(409, {"description": ""})
    for parameter in operation["parameters"]:
        parameter["schema"] = _without_null(parameter["schema"])
    for status, response in responses.items():
        response["headers"] = {**_HEADERS, **response.get("headers", {})}
        if int(status) >= 400:
            response["description"] = response.get("description") or "Refused; see `code`."
            response["content"] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"] = dict(sorted(responses.items(), key=lambda item: int(item[0])))


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """An address has no null: what may be null in our code may be left out there."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if len(choices) != 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "default")}
    return {**choices[0], **rest}
