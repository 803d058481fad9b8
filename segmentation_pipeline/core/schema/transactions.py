"""Tables of transaction lines: as they came, accepted, quarantined.

Belongs here: declarations. Does not: computing any of it (core/cleaning.py).
"""

from segmentation_pipeline.core.schema.table import MONEY, Column, Table

SOURCE_COLUMNS = (
    "invoice_id",
    "product_id",
    "description",
    "quantity",
    "unit_price",
    "amount",
    "customer_id",
    "invoiced_at",
    "country",
)

_DATE = Column("date", "date", "Day of sale in the shop's time zone")
_FILE = Column(
    "source_file", "string", "File the line came from, relative to the source folder; of a database, table and day"
)
_ROW = Column("source_row", "int64", "Number of the row in its file, the first data row being 1")

RAW_TRANSACTIONS = Table(
    "raw_transactions",
    (
        Column("date", "date", "Day the row is filed under: its day of sale, or its file's first day if it has none"),
        *(Column(name, "string", f"{name} exactly as the source gave it, as text") for name in SOURCE_COLUMNS),
        Column("broken_line", "string", "The whole line of text, where it could not be split into columns"),
        _FILE,
        _ROW,
    ),
    key=("source_file", "source_row"),
)

CLEAN_TRANSACTIONS = Table(
    "clean_transactions",
    (
        Column("date", "date", "Day of sale in the shop's time zone", ("raw_transactions.date",)),
        Column("invoice_id", "string", "Invoice or credit note; made up per customer and second if the source has none",
               ("raw_transactions.invoice_id", "raw_transactions.customer_id", "raw_transactions.invoiced_at")),
        Column("customer_id", "string", "Customer, or null for a guest", ("raw_transactions.customer_id",)),
        Column("product_id", "string", "Product, or null if the source has none", ("raw_transactions.product_id",)),
        Column("description", "string", "Product description without stray blanks", ("raw_transactions.description",)),
        Column("country", "string", "Country of the customer, as the source spells it", ("raw_transactions.country",)),
        Column("invoiced_at", "timestamp('UTC')", "Moment of sale", ("raw_transactions.invoiced_at",)),
        Column("quantity", "int64", "Items; below zero for a return", ("raw_transactions.quantity",)),
        Column("unit_price", MONEY, "Price of one item in the shop's currency, above zero",
               ("raw_transactions.unit_price", "raw_transactions.amount")),
        Column("amount", MONEY, "Line total in the shop's currency; below zero for a return",
               ("raw_transactions.quantity", "raw_transactions.unit_price", "raw_transactions.amount")),
        Column("line_kind", "string", "sale, return or adjustment (postage, discounts, fees: no goods)",
               ("raw_transactions.product_id", "raw_transactions.quantity")),
        _FILE,
        _ROW,
    ),
    key=("source_file", "source_row"),
)  # fmt: skip

QUARANTINED_TRANSACTIONS = Table(
    "quarantined_transactions",
    (
        *(
            Column(column.name, column.type, column.description, (f"raw_transactions.{column.name}",))
            for column in RAW_TRANSACTIONS.columns
        ),
        Column("reason", "string", "The first rule, in order of precedence, that the row fails"),
        Column("failed_rules", "array<string>", "Every rule that the row fails, in order of precedence"),
        Column("amount_at_stake", MONEY, "Quantity times price in the shop's currency, 0 where either cannot be read",
               ("raw_transactions.quantity", "raw_transactions.unit_price", "raw_transactions.amount")),
    ),
    key=("source_file", "source_row"),
)  # fmt: skip
