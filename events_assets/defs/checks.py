"""Asset checks on `events`, one for each claim; where one that blocks fails, nothing builds on it.

One step runs those that are asked for: it opens the warehouse once.
"""

import logging
from collections.abc import Iterator
from inspect import getdoc

import dagster as dg

from events_assets import warehouse
from events_assets.defs.claims import BLOCKING, CLAIMS
from events_assets.defs.failures import explained
from events_assets.defs.metadata import last_receipt
from events_assets.defs.resources import POOL
from events_assets.errors import WarehouseError


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            name, asset="events", blocking=claim in BLOCKING, description=getdoc(claim)
        )
        for name, claim in CLAIMS.items()
    ],
    can_subset=True,
    pool=POOL,
)
def check_events(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    asked_for = {key.name for key in context.selected_asset_check_keys}
    with explained(), warehouse.reading(context.log) as dataset:
        if "events" not in dataset.tables:
            raise WarehouseError(
                "there are no events to check yet: materialize the asset events first"
            )
        receipt = last_receipt(dataset, "events", context.run.run_id)
        results = {
            name: claim(dataset, receipt) for name, claim in CLAIMS.items() if name in asked_for
        }
    for name, result in results.items():
        _tell(context.log, name, result)
        yield result._replace(check_name=name)


def _tell(log: logging.Logger, name: str, result: dg.AssetCheckResult) -> None:
    failed = log.error if result.severity is dg.AssetCheckSeverity.ERROR else log.warning
    told = f"{name} {'passed' if result.passed else 'failed'}: {result.description}"
    (log.info if result.passed else failed)(told)
