"""How to read each figure, for the HTML report."""

from __future__ import annotations

from jetbench.report.figures import FIGURES

FLOOR = "The floor is the time of the network's matrix products alone on the fewest vectors that are known to suffice."
CURVE = (
    f"Left panels: time over the floor; dotted lines are what counting vectors predicts. {FLOOR} Right panels: time"
    " over that of nested differentiation at the same place; hollow markers are the paper's, those on the right edge"
    " at its largest size, where that is far beyond ours. Bars: 95% intervals."
    " Crosses at the upper edge: points that failed. One row a case; eager beside compiled."
)
MEMORY = (
    "Peak memory over that of nested, with the graph for parameter gradients (differentiable) and without it. Hollow:"
    " the paper's, those on the right edge at its largest size, where that is far beyond ours."
)
REDRAWN = (
    "The paper's figure, redrawn from its published points (hollow, dotted), with ours over it (filled). Two machines"
    " have no common axis: positions are shares of the curve's largest, costs shares of what nested costs there."
)
CAPTIONS = {
    **dict.fromkeys(["batch", "samples", "rank", "width", "depth", "dimension"], CURVE),
    **dict.fromkeys(["batch_memory", "samples_memory", "rank_memory"], MEMORY),
    **dict.fromkeys(["published_eager", "published_compiled", "published_jax"], REDRAWN),
    "overview": (
        "The short version. Bars: vectors that a method pushes through each linear layer per datum, which are counted,"
        " and its time over that of nested differentiation, which is measured; the better of eager and compiled (c)."
    ),
    "operators": f"One line an operator, one marker a method: vectors, time over the floor, time over nested. {FLOOR}",
    "dimension_vectors": "Vectors per datum and time of every method against the dimension D.",
    "reproduction": (
        "One point a slope: the ratio to nested that the paper reports (horizontal) against ours (vertical). On the"
        " diagonal they are equal. Letters name the slopes below the figure."
    ),
    "hilbert": (
        "Counted, not measured: how many vectors of each order k a method carries. The numbers are the sums, the"
        " vectors per datum."
    ),
    "apolar": (
        "Left, counted: vectors of apolar over those of collapsed Taylor mode for powers of the Laplacian. Then,"
        " measured: the ratios of time and of memory against the ratio of vectors. On the line the cost follows the"
        " count; below one apolar is cheaper."
    ),
    "floor": f"Every method, network and precision on one axis. {FLOOR} Filled: eager, hollow: compiled.",
    "compiling": (
        "Left: time compiled over eager against the size of the evaluation. Right: the distance to the floor before and"
        " after compilation; below the line compilation helps."
    ),
    "randomization": (
        "Time of the random estimate against its number of samples S, in units of the fastest exact method (the line at"
        " 1). Right of the dotted line the exact operator is cheaper. Last panel: the samples with as many vectors."
    ),
    "accuracy": (
        "Upper panels: how far random estimates lie from the exact operator, against their number of samples S. Lower"
        " panels: the same against time; the line falls as S^(-1/2), the marker is the exact operator with its rounding"
        " error."
    ),
    "winners": (
        "The fastest method at every measured place. The number is the runner-up's time over the winner's; pale cells"
        " are no clear wins, since the 95% intervals overlap. Of long curves a few positions are shown."
    ),
    "stock": (
        "What multiplying zeros costs. Left: time of stock Taylor mode in JAX, which holds derivatives of constants as"
        f" arrays of zeros, over the same scheme without them; dotted: the ratio of vectors. Right: both. {FLOOR}"
    ),
    "training": (
        "The same network trained by the same steps with each method. Only the time of the steps differs. Last panel:"
        " peak memory of a step over that of nested."
    ),
}


def caption(name: str) -> str:
    """How to read a figure; what it shows, where there is no more to say."""
    shows = FIGURES[name].shows if name in FIGURES else name
    return CAPTIONS.get(name, f"{shows[:1].upper()}{shows[1:]}.")
