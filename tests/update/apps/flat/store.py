"""Where the rooms are."""

ROOMS = {"attic": 4, "cellar": 12}
