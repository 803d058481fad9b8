"""A seeded simulator of a messy online gift shop, of any size, written day by day as Parquet files.

Belongs here: inventing transaction lines that behave, and misbehave, like a real shop's. Nothing in the pipeline
depends on it; demonstrations, tests and benchmarks do.
Does not: cleaning or judging the lines (core/, checks/), knowing what the pipeline will make of them.

The rooms, in the order a day passes through them:

- `shop`: what to simulate and what was delivered.
- `season`: how busy each day is.
- `catalogue`: products, non-product codes and countries.
- `customers`: who buys, from when until when, how often and how much.
- `lines`: the arrays in which a day's lines are held.
- `sales`: the orders of a day.
- `credits`: orders cancelled minutes later, goods given back weeks later, discounts, stock write-offs, bad debts.
- `dirt`: the kinds of dirt, their rates, and what spoils single lines.
- `simulation`: the pass over the days, and the files.

Memory holds the customers, one day of lines, and the goods still to be given back (about a third of a day of lines).
The same `Shop` gives the same bytes, as long as the versions of numpy and pyarrow stay the same.
"""

from segmentation_pipeline.sample_data.dirt import Dirt
from segmentation_pipeline.sample_data.shop import Delivery, Shop
from segmentation_pipeline.sample_data.simulation import SCHEMA, customers_of, simulate

__all__ = ["SCHEMA", "Delivery", "Dirt", "Shop", "customers_of", "simulate"]
