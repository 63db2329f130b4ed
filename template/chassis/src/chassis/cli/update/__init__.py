"""``chassis update``: a newer release of the template, on a branch, or nothing at all.

- ``command``: the options and exit codes
- ``plan``, ``flow``: what is to be done, and the steps; every other module is one concern of them
- ``service``, ``template``, ``versions``, ``changelog``: what is there, and what there is to take
- ``ownership``, ``drift``, ``library``: whose each file is, and which were edited; ``verify`` uses them too
- ``worktree``: the second tree that all happens in
- ``copier_run``, ``checks``, ``tooling``: Copier, what it left unmerged, and the service's own tools
- ``advice``: what a changed answer leaves to do by hand
- ``report``, ``errors``: what is told
- ``git``, ``process``: other programs
"""
