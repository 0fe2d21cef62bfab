"""Collapsing as a compiler pass: sums over an axis are pulled up through everything that is linear in it.

Here lies what is the same for every framework: the form of a computation (`graph`), how it is simplified while it is
built (`build`, `layout`), through what a sum may be pulled (`rules`), where it pays (`pull`), what it costs (`cost`),
and how it is explained (`explain`, `draw`). How a framework's own graphs are read and written is in
`jetbench.torch.rewriting` and `jetbench.jax.rewriting`.
"""
