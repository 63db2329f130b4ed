"""What is left of a secret: enough to recognise it, too little to use it."""

STARS = "***"
_SHORTEST_SHOWN = 8
_HIDDEN_LENGTH = 7


def hide(secret: str) -> str:
    """Return the first two and last two characters (``va***ue``), or ``***`` for fewer than 8 characters.

    Hiding twice changes nothing.
    """
    if len(secret) >= _SHORTEST_SHOWN:
        return f"{secret[:2]}{STARS}{secret[-2:]}"
    if len(secret) == _HIDDEN_LENGTH and secret[2:5] == STARS:
        return secret
    return STARS
