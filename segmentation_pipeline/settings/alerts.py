"""Settings of the alerts.

Belongs here: where they go. Does not: what an alert says (core/alerting.py), when segments are stale (schedule.py).
"""

import re
from typing import Self

from pydantic import Field, model_validator

from segmentation_pipeline.settings.section import Section


class Alerts(Section):
    """Where failed gates, failed runs, stale segments and held-back models are reported; nowhere if unset."""

    webhook_variable: str | None = Field(
        None, description="Name of the environment variable that holds the webhook's URL; the URL itself is a secret."
    )
    ui_url: str | None = Field(None, description="Address of the Dagster UI, for links to runs.")

    @model_validator(mode="after")
    def _named(self) -> Self:
        """A check of the whole section: the message of a single key would repeat a URL given by mistake."""
        if self.webhook_variable is not None and not re.fullmatch(r"[A-Za-z_]\w*", self.webhook_variable):
            raise ValueError(
                "webhook_variable: give the name of an environment variable that holds the URL, such as "
                "SHOP_ALERTS_WEBHOOK, and never the URL itself"
            )
        if self.ui_url is not None and not re.match(r"https?://", self.ui_url):
            raise ValueError("ui_url: give an address that begins with http:// or https://")
        return self
