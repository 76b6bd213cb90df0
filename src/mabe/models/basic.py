"""A perceptron that sees one frame at a time: the floor that temporal models must beat."""

from torch import Tensor, nn

from mabe.models import Sizes
from mabe.models.dropout import Dropout

HIDDEN = 128


class Basic(nn.Module):
    def __init__(self, sizes: Sizes, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(sizes.features, HIDDEN), nn.ReLU(), Dropout(dropout), nn.Linear(HIDDEN, sizes.outputs)
        )

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.layers(x_BTD)
