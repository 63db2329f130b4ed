"""The refusal: an edit that is not understood is not made."""

__all__ = ["Refused"]


class Refused(Exception):  # noqa: N818 - it reads as what happened: the edit was refused
    """The text has a shape that the edit does not know. The message is a clause that says which."""
