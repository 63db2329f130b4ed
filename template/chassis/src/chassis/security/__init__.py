"""What protects a service at its edge: who the client is, which headers it gets, who may call from where.

- ``SecuritySettings``: everything of this package that can be set
- ``TrustedProxies``, ``Peer``: the client's address and scheme, through trusted proxies only
- ``SecurityHeaders``: headers of every response, and the check of the Host header
- ``Cors``: which web pages of other origins may read responses
- ``docs_routes``: the API documentation, with all its assets
"""

from chassis.security.cors import Cors, Preflight
from chassis.security.docs import docs_routes
from chassis.security.headers import SecurityHeaders
from chassis.security.hosts import AllowedHosts
from chassis.security.proxies import Peer, TrustedProxies
from chassis.security.settings import SecuritySettings

__all__ = [
    "AllowedHosts",
    "Cors",
    "Peer",
    "Preflight",
    "SecurityHeaders",
    "SecuritySettings",
    "TrustedProxies",
    "docs_routes",
]
