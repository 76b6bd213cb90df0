"""A bidirectional LSTM of two layers."""

from torch import Tensor, nn

from mabe.models.dropout import Dropout


class BiLSTM(nn.Module):
    """nn.LSTM(width, hidden, num_layers=2, bidirectional=True, batch_first=True, dropout=dropout), with the
    layers apart so that the dropout between them is ours.
    """

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.LSTM(width, hidden, bidirectional=True, batch_first=True)
        self.dropout = Dropout(dropout)
        self.second = nn.LSTM(2 * hidden, hidden, bidirectional=True, batch_first=True)

    def forward(self, x_BTC: Tensor) -> Tensor:
        h_BTC, _ = self.first(x_BTC)
        h_BTC, _ = self.second(self.dropout(h_BTC))
        return h_BTC
