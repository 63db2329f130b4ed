"""A service as the template renders it, small enough to read in one go."""
