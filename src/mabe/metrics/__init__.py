"""Metrics on frames, on segments, and the score of the MABe 2025 competition."""
