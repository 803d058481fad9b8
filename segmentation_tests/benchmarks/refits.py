"""How much refits move: nightly and monthly, on the lake of a shop that `segmentation run` has brought up to date.

    python segmentation_tests/benchmarks/refits.py CONFIG [--nights 30] [--months 6] [--k 4] [--last DATE]

Prints, for nightly refits up to the last day or another, the share of customers whose segment id changes, with ids aligned
to the night before and with the first night's model kept in force; and the agreement (adjusted Rand index) of each
model with the one a night or 30 days before it, on the later day's customers.
"""

import argparse
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pandas as pd

from segmentation_pipeline.core import rfm, schema
from segmentation_pipeline.core.clustering import preprocessing, promotion, training
from segmentation_pipeline.core.clustering.scoring import SegmentationModel
from segmentation_pipeline.opening import build_resources
from segmentation_pipeline.settings import Settings, load

Night = tuple[date, pd.DataFrame, SegmentationModel]


def main() -> None:
    """Refit and print."""
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("config", type=Path)
    arguments.add_argument("--nights", type=int, default=30)
    arguments.add_argument("--months", type=int, default=6)
    arguments.add_argument("--k", type=int, default=4)
    arguments.add_argument("--last", type=date.fromisoformat)
    given = arguments.parse_args()
    settings = load(given.config)
    nights = list(_refitted(settings, given.last, given.nights, 1, given.k))
    print("night by night:", _told(settings, nights))  # noqa: T201
    first = nights[0][2]
    kept = [(day, customers, first) for day, customers, _model in nights]
    print(f"  with the first night's model in force {mean(_moved(kept)):.1%}")  # noqa: T201
    months = list(_refitted(settings, given.last, given.months, 30, given.k))
    print("every 30 days:", _told(settings, months))  # noqa: T201


def _refitted(settings: Settings, end: date | None, times: int, step: int, k: int) -> Iterator[Night]:
    lake = build_resources(settings)["lake"]
    last = end or lake.days("customer_orders")[-1]
    days = [last - timedelta(days=step * number) for number in range(times, -1, -1)]
    tables = [
        lake.read(layout, lake.days(layout.asset)) for layout in (schema.CUSTOMER_ORDERS, schema.CUSTOMER_RETURNS)
    ]
    model, next_id = None, 1
    with lake.engine.held(tables[0]) as orders, lake.engine.held(tables[1]) as returns:
        for day in days:
            features = rfm.rfm_features(orders, returns, day, settings.source.measure, settings.rfm.recent_days)
            sample = preprocessing.sample(features, settings.model.sample_rows, settings.model.seed)
            customers = lake.engine.to_pandas(sample)
            choice = training.Choice(day, settings.model.features, settings.model.algorithm, k, "")
            model = training.train(customers, choice, settings.model, model, next_id)
            next_id = max(next_id, *(segment.segment_id + 1 for segment in model.segments))
            yield day, customers, model


def _told(settings: Settings, nights: list[Night]) -> str:
    agreements = [
        promotion.compare(later, earlier, customers, settings.model.seed).agreement
        for (_, _, earlier), (_, customers, later) in pairwise(nights)
    ]
    ids = {segment.segment_id for _day, _customers, model in nights for segment in model.segments}
    return (
        f"{mean(_moved(nights)):.1%} of the customers change segment id, {len(ids)} ids in all; agreement "
        f"{', '.join(f'{each:.2f}' for each in agreements)}"
    )


def _moved(nights: list[Night]) -> Iterator[float]:
    for (_, before, earlier), (_, after, later) in pairwise(nights):
        old, new = promotion.segments_of(earlier, before), promotion.segments_of(later, after)
        known = old.index.intersection(new.index)
        yield float((old[known] != new[known]).mean())


if __name__ == "__main__":
    main()
