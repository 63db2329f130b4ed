"""One GET that answers JSON, for the stores that are spoken to directly."""

from collections.abc import Mapping
from typing import Any

from chassis.secrets.source import SecretSourceError

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
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise SecretSourceError(f"{url} did not answer: {str(error) or type(error).__name__}") from error
    if answer.status_code != httpx2.codes.OK:
        meaning = _MEANING.get(answer.status_code, "it failed")
        raise SecretSourceError(f"{url} answered {answer.status_code}: {meaning}")
    try:
        return answer.json()
    except ValueError:
        problem = f"{url} answered something that is no JSON"
    raise SecretSourceError(problem)
