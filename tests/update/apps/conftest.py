"""The applications here are copied and adopted by tests; their own tests run in the copy."""

collect_ignore_glob = ["*"]
