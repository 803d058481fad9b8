"""What the shop sells, what else appears in its product column, and where its customers live.

Belongs here: products with codes, descriptions and prices; non-product codes; countries.
Does not: who buys what (sales.py), which lines get a spoiled description (dirt.py).
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

PRODUCTS = 3_000
BULK_FROM_QUANTITY = 24
_BULK_PRICE_FACTOR = 0.85
# Zipf-Mandelbrot: the probability of the product of rank r is proportional to (r + shift) ** -exponent.
_ZIPF_EXPONENT = 0.8
_ZIPF_SHIFT = 10.0

COUNTRIES = (
    ("United Kingdom", 0.86),
    ("Germany", 0.035),
    ("France", 0.032),
    ("EIRE", 0.020),
    ("Netherlands", 0.010),
    ("Spain", 0.012),
    ("Belgium", 0.010),
    ("Switzerland", 0.008),
    ("Portugal", 0.007),
    ("Australia", 0.006),
)
UNITED_KINGDOM = 0


@dataclass(frozen=True)
class Charge:
    """A code in the product column that is no product.

    Attributes:
        code: As it stands in `StockCode`.
        description: As it stands in `Description`.
        domestic_share: Share of orders from the United Kingdom with such a line.
        foreign_share: Share of all other orders with such a line.
        median_price: In the shop's currency.
    """

    code: str
    description: str
    domestic_share: float
    foreign_share: float
    median_price: float


CHARGES = (
    Charge("POST", "POSTAGE", 0.004, 0.55, 18.0),
    Charge("DOT", "DOTCOM POSTAGE", 0.010, 0.0, 60.0),
    Charge("C2", "CARRIAGE", 0.001, 0.04, 50.0),
    Charge("M", "Manual", 0.006, 0.006, 6.0),
    Charge("BANK CHARGES", "Bank Charges", 0.001, 0.001, 15.0),
    Charge("AMAZONFEE", "AMAZON FEE", 0.001, 0.0, 200.0),
)
# Rows of the catalogue beyond the products: the charges in their order, then the two that stand only on credit notes.
FIRST_CHARGE = PRODUCTS
DISCOUNT = FIRST_CHARGE + len(CHARGES)
BAD_DEBT = DISCOUNT + 1
_CREDIT_CODES = (("D", "Discount"), ("B", "Adjust bad debt"))
NO_DESCRIPTION = -1
WRITE_OFF_WORDS = ("damaged", "check", "lost", "wet/mouldy", "?? missing", "thrown away")

_COLOURS = ("RED", "WHITE", "IVORY", "PINK", "BLUE", "GREEN", "BLACK", "SILVER", "CREAM", "YELLOW", "LILAC", "GOLD")
_STYLES = (
    "VINTAGE",
    "RETROSPOT",
    "PAISLEY",
    "FLORAL",
    "ENAMEL",
    "GLASS",
    "WOODEN",
    "KNITTED",
    "CERAMIC",
    "RUSTIC",
    "STRIPED",
    "POLKADOT",
    "PAPER",
    "TIN",
)
_THINGS = {
    "GIFT TAG": 0.4,
    "POSTCARD": 0.4,
    "PENCIL SET": 0.6,
    "NAPKINS": 0.8,
    "CAKE CASES": 0.6,
    "RIBBON ROLL": 1.0,
    "CANDLE": 1.2,
    "T-LIGHT HOLDER": 1.4,
    "KEY RING": 1.3,
    "NOTEBOOK": 1.5,
    "LUNCH BAG": 1.7,
    "SHOPPING BAG": 2.0,
    "MUG": 2.4,
    "JAR": 2.2,
    "HANGING HEART": 2.6,
    "TEA TOWEL": 2.7,
    "PHOTO FRAME": 3.0,
    "BUNTING": 4.2,
    "WALL CLOCK": 6.0,
    "STORAGE BOX": 3.4,
    "CUSHION COVER": 4.6,
    "DOORMAT": 7.0,
    "LANTERN": 4.4,
    "HOT WATER BOTTLE": 4.0,
    "CAKE STAND": 10.5,
    "TEAPOT": 7.5,
    "PICNIC BASKET": 13.0,
    "CABINET": 22.0,
}
_PRICE_SPREAD_LOG = 0.3
_SUFFIX_SHARE = 0.3


@dataclass(frozen=True)
class Catalogue:
    """Everything that can stand in the product columns of a line.

    Attributes:
        codes: `StockCode` of the products, the charges, the discount and the bad debt, in this order.
        descriptions: `Description` of the same rows, then the products' once more with blanks around them, then the
            write-off words.
        price: Price of one piece of each product, shape `(PRODUCTS,)`, in the shop's currency with two decimals.
        bulk_price: Likewise from `BULK_FROM_QUANTITY` pieces.
        popularity: Cumulative probability that a line is about a product, shape `(PRODUCTS,)`, ends with 1.
    """

    codes: pa.StringArray
    descriptions: pa.StringArray
    price: npt.NDArray[np.float64]
    bulk_price: npt.NDArray[np.float64]
    popularity: npt.NDArray[np.float64]

    @property
    def first_padded_description(self) -> int:
        """Row in `descriptions` of the first product's description with blanks around it."""
        return len(self.codes)

    @property
    def first_write_off_word(self) -> int:
        """Row in `descriptions` of the first write-off word."""
        return len(self.codes) + PRODUCTS


def make_catalogue(rng: np.random.Generator) -> Catalogue:
    """Invent `PRODUCTS` products with distinct codes and distinct descriptions."""
    offers = list(itertools.product(_COLOURS, _STYLES, _THINGS))
    chosen = [offers[row] for row in rng.choice(len(offers), PRODUCTS, replace=False)]
    names = [" ".join(offer) for offer in chosen]
    typical = np.array([_THINGS[thing] for _, _, thing in chosen])
    price = _shelf_prices(typical * rng.lognormal(0.0, _PRICE_SPREAD_LOG, PRODUCTS))
    padded = [
        (" {}", "{} ", "  {} ")[way].format(name)
        for way, name in zip(rng.integers(3, size=PRODUCTS), names, strict=True)
    ]
    return Catalogue(
        codes=pa.array(_product_codes(rng) + [c.code for c in CHARGES] + [code for code, _ in _CREDIT_CODES]),
        descriptions=pa.array(
            names
            + [c.description for c in CHARGES]
            + [name for _, name in _CREDIT_CODES]
            + padded
            + list(WRITE_OFF_WORDS)
        ),
        price=price,
        bulk_price=np.maximum(np.round(price * _BULK_PRICE_FACTOR, 2), 0.01),
        popularity=_popularity(rng),
    )


def _product_codes(rng: np.random.Generator) -> list[str]:
    """Five digits, some with a letter, all distinct."""
    digits = rng.choice(np.arange(10_000, 100_000), PRODUCTS, replace=False)
    letters = np.where(rng.random(PRODUCTS) < _SUFFIX_SHARE, rng.choice(list("ABCDEFG"), PRODUCTS), "")
    return [f"{number}{letter}" for number, letter in zip(digits, letters, strict=True)]


def _shelf_prices(price: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The nearest lower price with a shop's ending, such as 2.95 or 1.25, and never below 0.19."""
    endings = np.array([0.19, 0.25, 0.42, 0.65, 0.85, 0.95])
    pounds = np.floor(price)
    ending = endings[np.maximum(np.searchsorted(endings, price - pounds, side="right") - 1, 0)]
    shelf_price: npt.NDArray[np.float64] = np.round(pounds + ending, 2)
    return shelf_price


def _popularity(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Cumulative Zipf-Mandelbrot probabilities in an order unrelated to code and price."""
    weight = (rng.permutation(PRODUCTS) + 1 + _ZIPF_SHIFT) ** -_ZIPF_EXPONENT
    cumulative: npt.NDArray[np.float64] = np.cumsum(weight) / np.sum(weight)
    cumulative[-1] = 1.0
    return cumulative
