"""The methods that propagate jets."""

from __future__ import annotations

from jetbench.jax.jet_evaluation import JetEvaluation
from jetbench.methods import apolar, collapsed, forward_laplacian, taylor


class Taylor(taylor.Taylor):
    version = 3
    evaluation = JetEvaluation


class Collapsed(collapsed.Collapsed):
    version = 3
    evaluation = JetEvaluation


class Apolar(apolar.Apolar):
    version = 2
    evaluation = JetEvaluation


class ForwardLaplacian(forward_laplacian.ForwardLaplacian):
    version = 3
    evaluation = JetEvaluation
