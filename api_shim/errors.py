"""Error responses (docs/reference/api.md): `{"error": "<text>", "code": "<word>"}`, or a page for browsers."""

import logging
from errno import EDQUOT, ENOSPC

from flask import Flask, Response, current_app, jsonify, make_response, request
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from face_import.catalogue.engine import is_full
from face_import.errors import AirflowError, ConfigError, DiskFull, RequestError, SourceError

log = logging.getLogger(__name__)
WORDS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


def answer(status: int, code: str, text: str) -> tuple[Response, int]:
    """An error as JSON or, for browsers if the application has pages, as a page or a part of one."""
    page = current_app.extensions.get("face_import_error_page")
    if page and (wants_page() or "HX-Request" in request.headers):
        return make_response(page(status=status, code=code, text=text)), status
    return jsonify(error=text, code=code), status


def wants_page() -> bool:
    """Whether the client is a browser, which gets errors as pages."""
    accepted = request.accept_mimetypes.best_match(["application/json", "text/html"])
    return accepted == "text/html" and not request.path.startswith("/v1/")


def _storage_trouble(error: OSError) -> tuple[str, str]:
    """Code and text of a storage that failed."""
    if error.errno in {ENOSPC, EDQUOT}:
        return DiskFull.code, "there is no room left on the disk for this; try again later"
    return "storage_unavailable", "the storage of source files is unavailable or full"


def register(app: Flask) -> None:
    """Register the error handlers."""

    @app.errorhandler(RequestError)
    def request_error(error: RequestError) -> tuple[Response, int]:
        response, status = answer(error.status, error.code, str(error))
        response.headers.extend(error.headers)
        return response, status

    @app.errorhandler(ConfigError)
    def misconfigured(error: ConfigError) -> tuple[Response, int]:
        log.error("misconfigured error=%s", error)
        return answer(503, "misconfigured", "this API is misconfigured; see its log")

    @app.errorhandler(SourceError)
    def source_error(error: SourceError) -> tuple[Response, int]:
        return answer(400, "invalid_source", f"file: {error}")

    @app.errorhandler(AirflowError)
    def airflow_unavailable(error: AirflowError) -> tuple[Response, int]:
        log.warning("airflow unavailable error=%s", error)
        return answer(503, "airflow_unavailable", f"{error}; nothing was changed, try again later")

    @app.errorhandler(OperationalError)
    def catalogue_unavailable(error: OperationalError) -> tuple[Response, int]:
        log.error("catalogue unavailable error=%s", error.orig)
        full = is_full(error)
        trouble = "has no room left" if full else "is unavailable"
        code = DiskFull.code if full else "catalogue_unavailable"
        return answer(503, code, f"the catalogue's database {trouble}; try again later")

    @app.errorhandler(OSError)
    def storage_unavailable(error: OSError) -> tuple[Response, int]:
        log.error("storage unavailable error=%s", error)
        return answer(503, *_storage_trouble(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[Response, int]:
        status = error.code or 500
        response, _ = answer(status, WORDS.get(status, "invalid_request"), error.description or error.name)
        if isinstance(error, MethodNotAllowed) and error.valid_methods:
            response.allow.update(error.valid_methods)
        return response, status

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> tuple[Response, int]:
        log.error("unexpected error", exc_info=error)
        return answer(500, "internal_error", "internal error; see the log of the API")
