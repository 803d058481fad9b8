"""Suites of the raw and the cleaned transactions: nothing lost, nothing twice, and days that look like days.

Belongs here: declarations. Does not: measuring (core/profiling/), judging (judging.py).
"""

from segmentation_pipeline.checks.expectations import Advice, Expectation, at_most, between, equal, none_of
from segmentation_pipeline.settings import Settings, Severity

AGAIN = "Materialize raw_transactions and clean_transactions of the day again, in one run; if it stays, report it."
NAMES = {
    "invoice_id": "order numbers",
    "product_id": "product ids",
    "quantity": "quantities",
    "invoiced_at": "times of sale",
    "country": "countries",
}
MISREAD = "most of the day's rows would be quarantined or misread"
OPTIONAL: tuple[tuple[str, Severity, str], ...] = (
    ("invoice_id", "critical", MISREAD),
    ("quantity", "critical", MISREAD),
    ("invoiced_at", "critical", MISREAD),
    ("product_id", "warning", "returns are matched to any sale of the customer"),
    ("country", "warning", "nobody can tell another shop's file by its countries"),
)


def raw_transactions(settings: Settings) -> list[Expectation]:
    """What must hold of the source's rows, before any rule judges them."""
    quality = settings.quality
    return [
        none_of("rows_are_told_apart", "repeated_keys",
                Advice("Two rows with one file and row number cannot be told apart, nor traced to the source.", AGAIN)),
        at_most("duplicates_are_few", "duplicate_share", quality.max_duplicate_share, "critical",
                Advice("A file delivered twice doubles a day without changing any single row.",
                       "Compare the files of the day (source_file); remove the second delivery; materialize the day again.",
                       "copies")),
        *(
            at_most(f"{column}_is_given", f"missing_{column}_share", quality.max_missing_share, severity,
                    Advice(f"Without {NAMES[column]}, {harm}.",
                           f"See whether the source renamed or emptied the column mapped to source.columns.{column}.",
                           f"missing_{column}"))
            for column, severity, harm in OPTIONAL if getattr(settings.source.columns, column)
        ),
        at_most("price_is_given", "missing_price_share", quality.max_missing_share, "critical",
                Advice("Without prices, most of the day's rows would be quarantined.",
                       "See whether the source renamed or emptied the column mapped to source.columns.unit_price or amount.",
                       "missing_price")),
        at_most("customers_are_given", "guest_share", quality.max_guest_share, "critical",
                Advice("Without customer ids the day's sales reach nobody's features, and every segment shifts.",
                       "See whether the source renamed or emptied the column mapped to source.columns.customer_id. If guests "
                       "only are usual, raise quality.max_guest_share.", "guests")),
        at_most("guests_are_as_usual", "guest_share_rise", quality.max_guest_share_rise, "warning",
                Advice("Many more rows than usual lack a customer: part of a delivery may have lost its ids.",
                       "Look at the day's rows without a customer: one file, or one large wholesale order?", "guests")),
        between("volume_is_usual", "volume_ratio", quality.min_volume_ratio, quality.max_volume_ratio, "warning",
                Advice("A day far from the usual one of its weekday was delivered in part or more than once, or was a holiday "
                       "or a sale.", "Check the day's files for a second or a cut delivery; deliver again if so.")),
        at_most("orders_have_their_own_numbers", "lines_per_order_ratio", quality.max_order_size_factor, "critical",
                Advice("When orders share a number, frequency and returns are wrong for everybody.",
                       "See whether the column mapped to source.columns.invoice_id still holds the order's number.")),
        at_most("customers_have_their_own_ids", "orders_per_customer_ratio", quality.max_order_size_factor, "critical",
                Advice("When customers share an id, one invented customer gets everybody's orders.",
                       "See whether the column mapped to source.columns.customer_id holds a default such as 0 or 99999.")),
        at_most("countries_are_known", "new_country_share", quality.max_new_country_share, "warning",
                Advice("Many rows from a country not seen lately: a new market, other spellings, or another shop's file.",
                       "Look at the day's countries; if the market is new, it is usual within a day.")),
        at_most("product_ids_look_as_usual", "new_product_pattern_share", quality.max_new_product_pattern_share, "warning",
                Advice("Product ids of a new form match no earlier sale, so returns find no order.",
                       "See whether the source changed the form of its ids (leading zeros, a prefix); map the old form.")),
    ]  # fmt: skip


def clean_transactions(settings: Settings) -> list[Expectation]:
    """What must hold of the accepted lines and the quarantine, together and against the raw rows."""
    quality = settings.quality
    price, quantity = quality.max_price_factor, quality.max_quantity_factor
    return [
        equal("rows_reconcile", "raw_rows", "placed_rows",
              Advice("Every source row is accepted or quarantined; a row in neither is lost, one in both counts twice.", AGAIN)),
        equal("money_reconciles", "raw_amount", "placed_amount",
              Advice("The money of the source is the money accepted and the money quarantined, to the penny.", AGAIN)),
        none_of("lines_are_told_apart", "repeated_keys",
                Advice("A source row that is accepted or quarantined twice counts twice.", AGAIN)),
        at_most("quarantined_share_is_small", "quarantined_share", quality.warn_quarantined_share, "warning",
                Advice("A day that loses many rows was probably delivered in another form than the configuration says.",
                       "Run `segmentation quarantine` for the reasons, with the rows of each.", "quarantined")),
        at_most("most_rows_are_accepted", "quarantined_share", quality.max_quarantined_share, "critical",
                Advice("What is left of a day that is mostly quarantined says nothing about its customers.",
                       "Run `segmentation check-source` for the reasons; correct the source or the configuration "
                       "(decimal, timestamp_format, columns); materialize the day again.", "quarantined")),
        between("prices_are_above_zero", "least_price", 0, None, "critical",
                Advice("An accepted line with a price below 0 would take away revenue that was earned.", AGAIN)),
        between("price_level_is_usual", "price_ratio", 1 / price, price, "critical",
                Advice("Prices in another unit (pence for pounds) or currency make every spend wrong.",
                       "Compare the day's prices with the day before; have the source delivered again, or correct the mapping.",
                       "dearest")),
        between("quantities_are_usual", "quantity_ratio", 1 / quantity, quantity, "warning",
                Advice("Quantities in another unit (boxes for pieces) make returns match the wrong orders.",
                       "Compare the day's quantities with the day before.")),
        at_most("returns_are_few", "return_share", quality.max_return_share, "critical",
                Advice("A day of mostly returns is a delivery without its sales, or one with the wrong sign.",
                       "See whether the day's sales were delivered, and whether quantities have the right sign.", "returns")),
        between("day_begins_as_usual", "early_hour_shift", -quality.max_hour_shift, quality.max_hour_shift, "critical",
                Advice("Times in another zone move sales to the day before or after, and so every recency.",
                       "Compare the day's first lines with the day before; correct `timezone`, or have times delivered with "
                       "their zone.", "earliest")),
        between("day_ends_as_usual", "last_hour_shift", -quality.max_early_end_hours, None, "warning",
                Advice("A day that ends hours early was delivered before it was over.",
                       "Deliver the day again once it is over, and materialize it again.", "latest")),
        at_most("times_are_given", "midnight_share_rise", quality.max_midnight_share_rise, "warning",
                Advice("Sales that all happened at midnight have lost their time of day: returns and sales of one day "
                       "can no longer be put in order.", "See whether the source now exports dates instead of times.")),
    ]  # fmt: skip
