"""Orders: sales of known customers, grouped by day, customer and invoice."""

import pandas as pd

from segmentation_pipeline.core import orders, schema

LINES = [
    {"at": "2011-06-01 10:00", "invoice": "1", "product": "mug", "quantity": 3, "amount": "4.50"},
    {"at": "2011-06-01 10:00", "invoice": "1", "product": "mug", "quantity": 1, "amount": "1.20"},
    {"at": "2011-06-01 10:01", "invoice": "1", "product": "cup", "quantity": 2, "amount": "0.05"},
    {"at": "2011-06-01 10:00", "invoice": "1", "product": "cup", "quantity": 5, "amount": "5", "customer": "bob"},
    {"at": "2011-06-02 00:00", "invoice": "1", "product": "jug", "quantity": 1, "amount": "9"},
    {"at": "2011-06-02 09:00", "invoice": "2", "product": None, "quantity": 1, "amount": "2"},
    {"at": "2011-06-02 09:00", "invoice": "3", "product": "mug", "quantity": 1, "amount": "2", "customer": None},
    {"at": "2011-06-02 09:00", "invoice": "4", "product": "mug", "quantity": -1, "amount": "-2"},
    {"at": "2011-06-02 09:00", "invoice": "2", "product": "POST", "quantity": 1, "amount": "18", "kind": "adjustment"},
]


def test_orders_agree_with_pandas(engine, clean_lines):
    found = engine.to_pandas(orders.customer_orders(clean_lines(LINES)))
    lines = pd.DataFrame(LINES)
    lines["customer"] = ["bob" if each == "bob" else "ann" for each in lines["customer"]]
    kept = lines.drop(index=[6, 7, 8]).assign(date=lambda each: pd.to_datetime(each["at"]).dt.normalize())
    expected = (
        kept.astype({"amount": float})
        .groupby(["date", "customer", "invoice"], as_index=False)
        .agg(
            items=("quantity", "sum"),
            amount=("amount", "sum"),
            products=("product", "nunique"),
            product_ids=("product", _sorted),
        )
    )
    expected.columns = schema.CUSTOMER_ORDERS.names
    by = ["date", "customer_id", "order_id"]
    found["product_ids"] = found["product_ids"].map(list)
    pd.testing.assert_frame_equal(
        found.astype({"amount": float}).sort_values(by, ignore_index=True),
        expected.sort_values(by, ignore_index=True),
        check_dtype=False,
    )


def _sorted(products: pd.Series) -> list[str]:
    return sorted(set(products.dropna()))


def test_guests_returns_and_adjustments_are_no_orders(engine, clean_lines):
    assert engine.to_pandas(orders.customer_orders(clean_lines(LINES[6:]))).empty


def test_orders_have_the_columns_of_their_table(clean_lines):
    assert orders.customer_orders(clean_lines(LINES)).schema() == schema.CUSTOMER_ORDERS.ibis_schema
