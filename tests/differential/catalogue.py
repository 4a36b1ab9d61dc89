"""All cases, by name."""

from __future__ import annotations

from itertools import chain
from typing import Final

from tests.differential import cases_names, cases_options, cases_packets, cases_reads, cases_uploads
from tests.differential.steps import Case

ALL: Final[tuple[Case, ...]] = tuple(
    chain.from_iterable(
        module.cases()
        for module in (cases_options, cases_names, cases_reads, cases_packets, cases_uploads)
    )
)
"""In the order of tables."""
