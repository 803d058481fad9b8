"""Suites of orders, returns and features: the money and the customers of each step are those of the step before.

Belongs here: declarations. Does not: measuring (core/profiling/), judging (judging.py).
"""

from segmentation_pipeline.checks.expectations import Advice, Expectation, at_most, between, equal, none_of
from segmentation_pipeline.settings import Settings

AGAIN = "Materialize {} of the day again, in one run; if it stays, report it."


def customer_orders(_settings: Settings) -> list[Expectation]:
    """What must hold of the day's orders and of the sales they group."""
    again = AGAIN.format("clean_transactions and customer_orders")
    return [
        equal("money_of_sales_is_kept", "amount", "sales_amount",
              Advice("Orders hold every penny of the sales to known customers.", again)),
        equal("customers_of_sales_are_kept", "customers", "sales_customers",
              Advice("Every known customer with a sale has an order.", again)),
        none_of("orders_are_told_apart", "repeated_keys",
                Advice("One row per customer and order: a second one would count the order twice.", again)),
        none_of("orders_have_keys", "missing_keys",
                Advice("An order without customer or number can be matched to nothing.", again)),
        between("orders_have_items", "least_items", 1, None, "critical",
                Advice("An order of no items could never be kept or given back.", again)),
    ]  # fmt: skip


def customer_returns(settings: Settings) -> list[Expectation]:
    """What must hold of what was given back, against the credit lines and against the orders."""
    again = AGAIN.format("clean_transactions, customer_orders and customer_returns")
    return [
        equal("money_of_returns_is_kept", "amount", "credits_amount",
              Advice("Everything given back by known customers is matched or listed as unmatched, to the penny.", again)),
        equal("orders_less_returns_reconcile", "orders_less_returns", "net_amount",
              Advice("Orders less returns are the accepted money of known customers, to the penny.", again)),
        none_of("returns_are_told_apart", "repeated_keys",
                Advice("One row per customer and order: a second one would give the order back twice.", again)),
        none_of("returned_orders_exist", "unknown_orders",
                Advice("A return can only give back an order that the same customer placed in the look-back window.", again)),
        between("returns_have_items", "least_items", 0, None, "critical",
                Advice("Items given back are counted above zero; below, they would be sales.", again)),
        at_most("returns_find_their_orders", "unmatched_share", settings.quality.max_unmatched_return_share, "warning",
                Advice("Returns without an order lower what a customer spent, but no order's count.",
                       "Raise rfm.return_window_days if customers give back later; see whether product ids of returns and "
                       "sales agree.", "unmatched")),
    ]  # fmt: skip


def rfm_features(settings: Settings) -> list[Expectation]:
    """What must hold of a day's snapshot, against all orders and returns up to it."""
    again = AGAIN.format("customer_orders, customer_returns and rfm_features")
    return [
        equal("one_row_per_customer", "rows", "customers",
              Advice("One row per customer, each with an id: a second row would count a customer's money twice.", again)),
        equal("every_customer_is_there", "customers", "known_customers",
              Advice("Every customer with an order by the day has features, and nobody else.", again)),
        equal("spend_is_orders_less_returns", "monetary", "net_sales",
              Advice("What all customers spent is the money of all orders less all returns, to the penny.", again)),
        between("recency_is_never_negative", "least_recency_days", 0, None, "critical",
                Advice("A negative recency means that the snapshot saw the future.", again)),
        none_of("no_order_is_later", "orders_after_the_day",
                Advice("A snapshot knows nothing later than its day.", again)),
        none_of("recency_and_frequency_agree", "impossible_rows",
                Advice("A customer has a recency exactly if an order was kept, and never a negative frequency.", again,
                       "impossible")),
        at_most("feed_is_fresh", "least_recency_days", settings.quality.max_days_without_order, "warning",
                Advice("Nobody has ordered for days: the feed has probably stopped, and recency grows for everybody.",
                       "See whether the last days' files arrived; materialize them, then the day again.")),
    ]  # fmt: skip
