"""From frames to weights: windows, augmentation, the loop."""
