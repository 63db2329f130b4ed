"""The recorded answers: a question with another name, an answer with another value.

Both run in the stage ``before``: Copier reads the answers again after it, and renders the new version
with them. The old version is rendered with the old ones.
"""

import yaml_keys
from service import ANSWERS, Service

__all__ = ["change_answer", "rename_question"]


def rename_question(service: Service, old: str, new: str) -> None:
    """Record the answer to ``old`` as the answer to ``new``."""
    service.edit(ANSWERS, lambda text: yaml_keys.move(text, (old,), (new,)))


def change_answer(service: Service, question: str, old: str, new: str) -> None:
    """Record ``new`` where ``old`` was answered; in a list of answers the others stay."""
    service.edit(ANSWERS, lambda text: yaml_keys.replace_value(text, (question,), old, new))
