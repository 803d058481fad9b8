"""Forgetting as a run: the job that takes a customer out of everything, recorded like every other.

Belongs here: `forget_customer`. Does not: what it does (resources/erasure.py), who asks for it (cli.py).

Neither the run's configuration nor its events name the customer: whoever starts it gives the digest that the list of
forgotten customers has (resources/forgotten.py).
"""

import dagster as dg

from segmentation_pipeline.partitions import POOL
from segmentation_pipeline.resources.annotations import Erasure


class Forget(dg.Config):
    """Whom to forget."""

    digest: str
    """As it stands in <lake>/forgotten; never the id itself."""


@dg.op(pool=POOL, out=dg.Out(dg.Nothing))
def erase(context: dg.OpExecutionContext, config: Forget, erasure: dg.ResourceParam[Erasure]) -> dg.Output[None]:
    """Take a customer's identity out of the lake, the exports and the published tables; again, what is left of it."""
    erased = erasure.carry_out(config.digest, f"run {context.run.run_id}", context.log.info)
    shown = {"rows": dict(erased.rows), "partitions": dict(erased.partitions)}
    return dg.Output(None, metadata={name: dg.MetadataValue.json(each) for name, each in shown.items()})


@dg.job(description="Take a customer out of everything that was written; started by `segmentation forget`.")
def forget_customer() -> None:
    """One step."""
    erase()
