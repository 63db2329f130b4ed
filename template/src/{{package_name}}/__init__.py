"""The service: `app` composes it, `settings` says what it can be told, each resource is a package."""
