"""One GET that answers JSON, for the stores that are spoken to directly."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from chassis.secrets.source import SecretSourceError

if TYPE_CHECKING:
    import httpx2

__all__ = ["get_json"]

TIMEOUT_SECONDS = 5.0

_MEANING = {
    400: "the request was refused as malformed",
    401: "the token is missing or wrong",
    403: "the token is missing, wrong or not allowed to read this",
    404: "nothing is stored there",
    503: "it is sealed or in maintenance",
}


def get_json(url: str, headers: Mapping[str, str], parameters: Mapping[str, str]) -> Any:
    """Return the document. Redirects are not followed: the token must not reach another host.

    Raises ``SecretSourceError`` with what the status means.
    """
    import httpx2

    try:
        answer = httpx2.get(url, headers=dict(headers), params=dict(parameters), timeout=TIMEOUT_SECONDS)
    except (httpx2.LocalProtocolError, UnicodeEncodeError) as error:
        # Without its text, which quotes the header.
        name = type(error).__name__
        problem = f"the token or another part of the request holds a character that is not allowed ({name})"
    except httpx2.RemoteProtocolError as error:
        # Without its text, which quotes the answer.
        problem = type(error).__name__
    # The last three: a proxy or a file of certificates that the environment names cannot be used.
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, OSError, ImportError) as error:
        problem = str(error) or type(error).__name__
    else:
        return _document(url, answer)
    # Without its cause, which holds the request and so the token.
    raise SecretSourceError(f"{url} did not answer: {problem}")


def _document(url: str, answer: "httpx2.Response") -> Any:
    if answer.status_code != HTTPStatus.OK:
        meaning = _MEANING.get(answer.status_code, "it failed")
        raise SecretSourceError(f"{url} answered {answer.status_code}: {meaning}")
    try:
        return answer.json()
    except ValueError:
        problem = f"{url} answered something that is no JSON"
    raise SecretSourceError(problem)
