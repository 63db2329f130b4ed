"""What went wrong, in one line."""

from chassis.masking import mask_text

__all__ = ["reason"]


def reason(error: Exception) -> str:
    """Return the kind and the text of an error as one line, masked: it may come from the service's own code."""
    return " ".join(mask_text(f"{type(error).__name__}: {error}").split())
