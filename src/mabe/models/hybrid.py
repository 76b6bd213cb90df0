"""A PointNet over each mouse's keypoints (Qi et al. 2017), then a temporal model over all mice."""

from torch import Tensor, nn

from mabe.models import Sizes
from mabe.models.dropout import Dropout
from mabe.models.lstm import BiLSTM
from mabe.models.norm import BatchNorm
from mabe.models.transformer import WIDTH, encoder, positions

EMBEDDING = 128  # of a mouse on a frame
HIDDEN = 256  # LSTM units per direction, and of the head


class PointNet(nn.Module):
    """Keypoints (N, 2, K) to an embedding (N, 128) that does not depend on their order."""

    def __init__(self, windows: int) -> None:
        super().__init__()
        self.points = nn.Sequential(
            nn.Conv1d(2, 64, kernel_size=1),
            BatchNorm(64, windows),
            nn.ReLU(),
            nn.Conv1d(64, 128, kernel_size=1),
            BatchNorm(128, windows),
            nn.ReLU(),
        )
        self.out = nn.Linear(128, EMBEDDING)

    def forward(self, xy_N2K: Tensor) -> Tensor:
        return self.out(self.points(xy_N2K).amax(dim=2))


class Hybrid(nn.Module):
    """Reads the first mice x keypoints x 2 features: x, y of each keypoint of each mouse.

    All mice share one PointNet. hybrid_temporal: "bilstm" (2 layers, 256 a direction) or "transformer" (4 layers).
    """

    def __init__(self, sizes: Sizes, dropout: float, hybrid_temporal: str) -> None:
        super().__init__()
        self.mice, self.keypoints, self.temporal = sizes.mice, sizes.keypoints, hybrid_temporal
        self.pointnet = PointNet(sizes.windows)
        if hybrid_temporal == "bilstm":
            self.lstm = BiLSTM(sizes.mice * EMBEDDING, HIDDEN, dropout)
        else:
            self.embed = nn.Linear(sizes.mice * EMBEDDING, WIDTH)
            self.encoder = encoder(dropout)
        self.head = nn.Sequential(
            Dropout(dropout),
            nn.Linear(2 * HIDDEN if hybrid_temporal == "bilstm" else WIDTH, HIDDEN),
            nn.ReLU(),
            Dropout(dropout),
            nn.Linear(HIDDEN, sizes.outputs),
        )

    def forward(self, x_BTD: Tensor) -> Tensor:
        batch, frames, _ = x_BTD.shape
        xy = x_BTD[:, :, : self.mice * self.keypoints * 2]
        xy_N2K = xy.reshape(batch * frames * self.mice, self.keypoints, 2).transpose(1, 2)
        h_BTC = self.pointnet(xy_N2K).view(batch, frames, self.mice * EMBEDDING)
        if self.temporal == "bilstm":
            h_BTC = self.lstm(h_BTC)
        else:
            h_BTC = self.embed(h_BTC)
            h_BTC = self.encoder(h_BTC + positions(frames, WIDTH, h_BTC.device))
        return self.head(h_BTC)
