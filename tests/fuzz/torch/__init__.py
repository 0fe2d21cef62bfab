"""Programs in PyTorch: pieces of networks, what is done with their operators, and the values that are right."""
