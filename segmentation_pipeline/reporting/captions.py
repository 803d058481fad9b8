"""What each figure is called and how to read it, in report order.

Belongs here: titles and the one sentence under each figure, which is also its alternative text.
Does not: drawing (figures.py); the page needs these words without importing matplotlib.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Caption:
    """Words that go with one figure.

    Attributes:
        slug: Stable name, used as file name and HTML id.
        title: Heading over the figure.
        text: One sentence that says what is shown and how to read it.
    """

    slug: str
    title: str
    text: str


_IN_REPORT_ORDER = (
    Caption(
        "segment_sizes",
        "Customers and revenue by segment",
        "Each segment's share of customers beside its share of revenue: a revenue bar longer than the customer bar "
        "marks a segment worth more than its size.",
    ),
    Caption(
        "segment_profile",
        "What sets the segments apart",
        "Each dot is a segment's typical customer, placed by how far they lie from the average customer (the line at "
        "0) and labelled with the median in its own unit.",
    ),
    Caption(
        "segment_scatter",
        "Where the customers lie",
        "A sample of customers, drawn so that customers who buy alike lie close together: the less two colours mix, "
        "the more clearly the segments differ.",
    ),
    Caption(
        "migration",
        "Where each segment's customers went",
        "Each row is a segment on the earlier day and says in which segments its customers are now; the darker a cell, the "
        "larger its share of the row, and cells off the diagonal are customers who moved.",
    ),
    Caption(
        "rfm_grid",
        "Customers by recency and value",
        "Each tile is a recency score and a value score (frequency and monetary together), with its RFM group and its "
        "customers; the darker the tile, the more customers, and dark lines part the groups.",
    ),
    Caption(
        "elbow_and_silhouette",
        "Candidates for the number of segments",
        "Left, how loosely customers sit around their segment's centre (inertia, lower is tighter), where the elbow is "
        "the last split that pays; right, how clearly segments are separated (silhouette, higher is clearer).",
    ),
    Caption(
        "index_votes",
        "What each index says by itself",
        "One panel per index for the chosen algorithm: the ringed diamond is the number of segments that this index "
        "alone would choose, the dashed line the number that was chosen; where they differ, the indices disagree.",
    ),
    Caption(
        "distributions",
        "The features before and after the transform",
        "Customers by each feature, as measured and, below, transformed as the clustering "
        "sees them: the closer a skewness is to 0, the less a few extreme customers decide the segments.",
    ),
    Caption(
        "correlations",
        "How the features move together",
        "Correlations between the features, from \N{MINUS SIGN}1 (blue, one rises as the other falls) through 0 "
        "(white, unrelated) to 1 (red, they rise together); Pearson measures straight lines, Spearman compares ranks.",
    ),
    Caption(
        "drift",
        "How far customers have shifted since the model was fitted",
        "The population stability index (PSI) of each feature and of the segment sizes by day: 0 is no change, and above "
        "the dashed line the model describes other customers than today's.",
    ),
    Caption(
        "quality_by_day",
        "Rows and revenue by day",
        "Accepted rows, the share of rows quarantined and revenue on each day: look for gaps and for days that stand "
        "out from their neighbours.",
    ),
    Caption(
        "quarantine_reasons",
        "Why rows were quarantined",
        "Rows by the reason they were set aside for (dark), over all rows that broke the same rule (pale): a row can "
        "break several rules but counts once.",
    ),
)

CAPTIONS: Mapping[str, Caption] = MappingProxyType({caption.slug: caption for caption in _IN_REPORT_ORDER})
"""Captions by slug, in report order."""
