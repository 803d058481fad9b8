"""The webhook: a message that leaves this machine by HTTP, and what is said when it is not taken.

Belongs here: the address and how it stays secret, sending, wording refusals. Does not: what is sent (core/alerting.py).

The address holds a token. It is read from the environment when it is used, and is in no message: neither are the texts
of the errors that the standard library raises, some of which repeat it, nor the answers of the server.
"""

import json
import os
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from http.client import HTTPException, HTTPMessage
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from segmentation_pipeline.errors import PipelineError, TransientFault

TIMEOUT_SECONDS = 10


class WebhookNotSet(PipelineError):
    """The environment variable that holds the webhook's address is not set, or holds no address."""


class NotDelivered(TransientFault):
    """A message was not taken; the text says why, without the address."""


class Webhook:
    """An address that takes JSON by POST.

    Args:
        variable: Name of the environment variable that holds the address.
        timeout_seconds: How long an answer may take.
    """

    def __init__(self, variable: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.variable = variable
        self._timeout_seconds = timeout_seconds

    def require(self) -> None:
        """Make sure that there is an address.

        Raises:
            WebhookNotSet: There is none.
        """
        self._address()

    def post(self, message: Mapping[str, str | None]) -> None:
        """Send a message; it was taken if this returns.

        Raises:
            WebhookNotSet: There is no address.
            NotDelivered: Nobody answered in time, or the answer was not 2xx. Redirects are not followed: what comes
                after one is no longer this message.
        """
        body = json.dumps(message, ensure_ascii=False).encode()
        refusal = _refusal(self._address(), body, self._timeout_seconds)
        if refusal:  # raised here, outside of any except block, so that no error with the address in it is its context
            raise NotDelivered(refusal)

    def _address(self) -> str:
        address = os.environ.get(self.variable, "").strip()
        if not address:
            raise WebhookNotSet(
                f"alerts.webhook_variable names the environment variable {self.variable}, which is not set where Dagster "
                "runs. Set it to the webhook's URL for the code server, or remove alerts.webhook_variable."
            )
        if not _is_web_address(address):
            raise WebhookNotSet(
                f"The environment variable {self.variable} (alerts.webhook_variable) holds no http:// or https:// address."
            )
        return address


class _NoRedirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def _is_web_address(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _refusal(address: str, body: bytes, timeout_seconds: float) -> str | None:
    """Send a body; why it was not taken, or None."""
    headers = {"Content-Type": "application/json; charset=utf-8", "User-Agent": "segmentation-pipeline"}
    try:
        request = Request(address, body, headers, method="POST")
        with build_opener(_NoRedirects).open(request, timeout=timeout_seconds):
            return None
    except HTTPError as answer:
        answer.close()
        return _status(answer.code)
    except URLError as problem:
        return _no_answer(problem.reason)
    except (OSError, HTTPException, ValueError) as problem:
        return _no_answer(problem)


def _status(code: int) -> str:
    try:
        name = HTTPStatus(code).phrase
    except ValueError:
        name = ""
    hint = "; redirects are not followed" if 300 <= code < 400 else ""
    return f"the webhook answered {f'{code} {name}'.strip()}{hint}"


def _no_answer(reason: BaseException | str) -> str:
    """Only what the operating system says; other texts may repeat the address or a part of it."""
    if isinstance(reason, TimeoutError):
        return "the webhook did not answer in time"
    if isinstance(reason, OSError) and not isinstance(reason, ssl.SSLError) and reason.strerror:
        return f"the webhook could not be reached ({reason.strerror})"
    return f"the webhook could not be reached ({type(reason).__name__})"
