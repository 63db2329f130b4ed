"""Where secrets come from besides the environment: files, and one remote source.

- ``source``: ``SecretSource``, the protocol, and ``SecretSourceError``
- ``files``: one file a variable, as Docker and Kubernetes mount secrets
- ``remote``: the source that a URL names
- ``aws``, ``azure``, ``gcp``: the clouds, through their own clients, each behind an extra of the same name
- ``vault``, ``consul``: through their HTTP interface, with no further dependency
"""

from chassis.secrets.files import SecretFiles
from chassis.secrets.remote import remote_source
from chassis.secrets.source import SecretSource, SecretSourceError

__all__ = ["SecretFiles", "SecretSource", "SecretSourceError", "remote_source"]
