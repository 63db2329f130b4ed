"""Items: an example resource, to read and then to delete.

- ``router``: the HTTP interface
- ``schemas``: what clients send and get back
- ``service``: what can be done with items
"""
