"""The methods that propagate jets."""

from __future__ import annotations

from jetbench.methods import apolar, collapsed, forward_laplacian, taylor
from jetbench.torch.jet_evaluation import JetEvaluation


class Taylor(taylor.Taylor):
    version = 2
    evaluation = JetEvaluation


class Collapsed(collapsed.Collapsed):
    version = 2
    evaluation = JetEvaluation


class Apolar(apolar.Apolar):
    version = 3
    evaluation = JetEvaluation


class ForwardLaplacian(forward_laplacian.ForwardLaplacian):
    version = 2
    evaluation = JetEvaluation
