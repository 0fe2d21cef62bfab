"""`jetbench.torch.collapse`: the pass of `jetbench.collapse` for PyTorch.

A function is traced to a graph of ATen operations (`trace`), that is read into the neutral form (`lower` and the rules
beside it), collapsed, and written back as a graph of ATen operations (`emit`).
"""
