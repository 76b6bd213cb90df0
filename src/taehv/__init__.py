"""TAEHV, the tiny video autoencoder: model, training, evaluation, export. Knows no pipeline and no poses."""

import runs as runs  # before torch, see runs.WAITING
