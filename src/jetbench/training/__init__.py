"""The study `training`: a physics-informed network trained to the same loss with each method.

`problem` says what is trained, `loop` trains it in PyTorch, `worker` is the process in which that happens, and `run`
starts it and keeps the records.
"""
