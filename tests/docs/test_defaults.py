"""A number in brackets behind a setting, as `MAX_BODY_BYTES` (1 MiB), is its default."""

import re
from functools import reduce

import pytest
from ledger import ROOT, pages

from chassis.service_settings import ServiceSettings
from chassis.settings import Catalog

WITH_DEFAULT = re.compile(r"`([A-Z][A-Z0-9_]+)` \(([\d,.]+)( MiB)?(?: s)?\)")
SAID = [
    (str(page.relative_to(ROOT)), *found.groups())
    for page in pages()
    for found in WITH_DEFAULT.finditer(page.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("page", "variable", "number", "unit"), SAID)
def test_a_default_in_a_page_is_that_of_the_setting(
    page: str, variable: str, number: str, unit: str | None
) -> None:
    default = reduce(getattr, Catalog(ServiceSettings).by_name[variable].path, ServiceSettings())
    assert default == float(number.replace(",", "")) * (2**20 if unit else 1), page
