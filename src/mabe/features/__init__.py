"""Features of whole recordings: what a model sees of each frame.

`build` writes them for a store; `features_of` computes them for one recording, by the same code.
"""

from mabe.features.build import build
from mabe.features.layout import View, columns, feature_dim
from mabe.features.normalise import CLIP, MISSING_VALUE, Normalisation, features_of

__all__ = ["CLIP", "MISSING_VALUE", "Normalisation", "View", "build", "columns", "feature_dim", "features_of"]
