"""What training minimises: latents like the teacher's, frames like the input, and the discriminator's corrections."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runs import InputError
from runs.text import one_line
from taehv.params import TrainParams
from taehv.seraena import Seraena


class Loss:
    """The weighted sum of its parts, each a mean over all elements, in float32 whatever autocast says.

    encoder: mean squared error (MSE) of the encoder's latents against the teacher's. recon, l1, lpips: MSE, absolute
    error and LPIPS of the decoded frames against the input's. seraena: MSE of decoded crops against their corrected
    form. Decoded frames are not clamped: a saturated pixel would have no gradient to come back by.
    InputError if lpips_weight is above 0 and LPIPS is not there.
    """

    def __init__(self, params: TrainParams, latent_channels: int, device: torch.device) -> None:
        self._weights = {
            "encoder": params.encoder_weight,
            "recon": params.recon_weight,
            "l1": params.l1_weight,
            "lpips": params.lpips_weight,
            "seraena": params.seraena_weight,
        }
        self._latent_channels = latent_channels
        self._lpips = open_lpips(device) if params.lpips_weight else None

    def __call__(
        self, x: Tensor, own: Tensor, y: Tensor, teacher: Tensor | None = None, seraena: Seraena | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total, which has the gradients, and each part before its weight (detached), with a teacher and with
        seraena their parts too, and the discriminator's own loss.

        x (N, T, 3, H, W) in [0, 1]; own latents and the teacher's (N, L, C, h, w), the teacher's being what y
        (N, 4L-3, 3, H, W) was decoded from if there are any. Frame k of y is compared with frame k of x.
        InputError if the teacher's latents have another shape than the model's.
        """
        with torch.autocast(x.device.type, enabled=False):
            own, y = own.float(), y.float()
            target = x[:, : y.shape[1]].float()
            parts = {"recon": F.mse_loss(y, target)}
            if teacher is not None:
                self._check(own, teacher)
                parts["encoder"] = F.mse_loss(own, teacher.float())
            if self._weights["l1"]:
                parts["l1"] = F.l1_loss(y, target)
            if self._lpips is not None:
                parts["lpips"] = self._lpips(y.flatten(0, 1) * 2 - 1, target.flatten(0, 1) * 2 - 1).mean()
            if seraena is not None:
                parts["seraena"] = seraena.loss(target, y, own if teacher is None else teacher)
            total = torch.stack([self._weights[name] * part for name, part in parts.items()]).sum()
        record = {name: part.detach() for name, part in parts.items()}
        if seraena is not None:
            record["discriminator"] = seraena.discriminator_loss
        return total, record

    def _check(self, own: Tensor, teacher: Tensor) -> None:
        if teacher.shape[2] != self._latent_channels:
            raise InputError(
                f"the teacher's latents have {teacher.shape[2]} channels but the model's {self._latent_channels}: "
                "choose a teacher and a variant that agree"
            )
        if teacher.shape != own.shape:
            raise InputError(
                f"the teacher's latents are {tuple(teacher.shape)} but the model's {tuple(own.shape)}: "
                "choose a teacher and a variant that agree"
            )


def open_lpips(device: torch.device) -> nn.Module:
    """LPIPS on VGG features (Zhang et al. 2018), frozen; images (N, 3, H, W) in [-1, 1] -> (N, 1, 1, 1).

    InputError if the package `lpips` or its weights are absent.
    """
    remedy = "install it with `pip install lpips torchvision`, or set lpips_weight to 0"
    try:
        from lpips import LPIPS
    except (ImportError, RuntimeError) as error:  # torchvision beside another build of torch: RuntimeError
        raise InputError(
            f"lpips_weight is above 0 but the package lpips does not load ({one_line(error)}): {remedy}"
        ) from None
    try:
        network = LPIPS(net="vgg", verbose=False)
    except Exception as error:
        raise InputError(
            f"the weights of LPIPS cannot be loaded ({one_line(error)}): download them once with a connection "
            "(`python -c \"import lpips; lpips.LPIPS(net='vgg')\"`), or set lpips_weight to 0"
        ) from None
    return network.to(device).eval().requires_grad_(False)
