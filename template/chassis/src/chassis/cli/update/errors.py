"""How an update says that it cannot go on."""

__all__ = ["UpdateError"]


class UpdateError(Exception):
    """Something is wrong; the message says what, and what to do. The service is as it was.

    ``output`` is what the program that failed printed last, if it helps; ``files`` are those it is about.
    """

    def __init__(self, message: str, *, output: str = "", files: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.output = output
        self.files = files
