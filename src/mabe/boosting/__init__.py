"""V8: gradient boosting per laboratory and action, on what describes an agent and a target around a sample."""
