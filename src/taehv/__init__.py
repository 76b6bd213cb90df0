"""TAEHV, the tiny video autoencoder: model, training, evaluation, export. Knows no pipeline and no poses."""
