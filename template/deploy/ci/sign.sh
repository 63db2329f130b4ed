#!/bin/sh
# Owned by the template: signs the image of build/image.txt, and attests build/image.cdx.json as what it contains.
# cosign takes its identity from the pipeline: there is no key to keep.
set -eu

# the name ends with a digest: a tag alone may move
image=$(cat build/image.txt)
cosign sign --yes "$image"
cosign attest --yes --type cyclonedx --predicate build/image.cdx.json "$image"
