"""The closed lists that the templates draw from.

The word list is small on purpose: a model of this size learns to spell and reverse a hundred words by
heart, and claims no more. The name list is long on purpose: a name must be copied, not recalled.
"""

__all__ = ["ANIMALS", "NAMES", "WORDS"]

_WORDS = """
    actor apple bank bear bird blue boat book bread bus cake camp candle car cat chair city clock cloud
    coat coin cold corn crow cup dark desk dog door dream duck eagle earth egg fire fish flag flower fog
    forest fox frog game garden gate glass goat gold grass green hand hat heart hill horse house ice iron
    island jar king kite lake lamp leaf lemon light lion map milk mint moon mouse night nest ocean onion
    orange owl paper pear pen piano plum pond queen rain red ring river road rock rose sail salt sand
    school sea ship silver sky snow song star stone storm sun table tea tiger train tree water wind winter
    wolf wood yellow
"""

WORDS: tuple[str, ...] = tuple(_WORDS.split())

ANIMALS: tuple[str, ...] = (
    "bear",
    "bird",
    "cat",
    "dog",
    "duck",
    "fish",
    "fox",
    "frog",
    "goat",
    "horse",
    "lion",
    "mouse",
    "owl",
    "tiger",
    "wolf",
)

_GIVEN_NAMES = """
    Ada Agner Alan Alice Amir Ana Anna Ben Bob Bruno Carl Carla Chen Clara Dan Dana David Diego Dora Ed
    Edsger Elena Eli Emil Emma Erik Eva Fatima Felix Finn Frida Grace Greta Hana Hans Hugo Ida Igor Ines
    Ivan Jack Jana Jim Joe John Jose Julia Kai Karl Kate Ken Lars Laura Lena Leo Lily Lin Lisa Luca Lucy
    Luis Maja Marco Maria Mark Max Maya Mei Mia Mike Mila Mina Nadia Nick Nina Noah Nora Olga Omar Oscar
    Otto Pablo Paul Peter Petra Priya Ravi Rita Robert Rosa Ruth Sam Sara Sofia Sven Tara Theo Tim Tom
    Uma Vera Viktor Walter Wei Yuki Yusuf Zoe
"""

# Made-up names keep the model from answering with a familiar name instead of the one that it was told.
_INVENTED_NAMES: tuple[str, ...] = tuple(
    first + second + last
    for i, first in enumerate(
        ("Ba", "Do", "Fe", "Gu", "Ki", "Lo", "Mu", "Ne", "Pi", "Ro", "Su", "Ta", "Vo", "Ze")
    )
    for j, second in enumerate(("la", "mi", "no", "ru", "ve", "zi"))
    for k, last in enumerate(("", "n", "ra", "x", "to"))
    if (i + j + k) % 2 == 0
)

NAMES: tuple[str, ...] = tuple(_GIVEN_NAMES.split()) + _INVENTED_NAMES
