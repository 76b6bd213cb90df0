"""A perceptron that sees one frame at a time: the floor that temporal models must beat."""

from torch import Tensor, nn

from mabe.models.dropout import Dropout

HIDDEN = 128


class Basic(nn.Module):
    def __init__(self, input_dim: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(input_dim, HIDDEN), nn.ReLU(), Dropout(dropout), nn.Linear(HIDDEN, classes)
        )

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.layers(x_BTD)
