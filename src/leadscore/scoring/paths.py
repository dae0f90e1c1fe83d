"""Constants of a forest that exact path-dependent TreeSHAP needs, computed once.

A tree's Shapley values, with absent features averaged by training cover (Lundberg, Erion & Lee 2018,
"Consistent Individualized Feature Attribution for Tree Ensembles"), are sums over leaves with value v on
paths with the distinct features F: feature f has o_f = 1 if the row passes every decision of the path on
f, else 0, and z_f = the product of cover ratios of the same decisions. The Shapley weights of coalitions
are integrals of t^s (1-t)^(n-1-s), therefore

    phi_f = v (o_f - z_f) * integral over t in [0, 1] of the product over g in F, g != f, of (o_g t + z_g
    (1-t)).

The integrand is a polynomial of degree |F| - 1: Gauss-Legendre quadrature with at least |F| / 2 points is
exact, all its terms are positive (nothing cancels), and the points fill the lanes of a vector register.
Products are carried down each tree and leaf sums carried up, so a row costs a few operations per node and
point. (The native evaluator looks most of these up, see tables.py.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leadscore.errors import ArtefactError
from leadscore.scoring.forest import Doubles, Forest, Ints

POINTS = (4, 8, 16, 32)
"""Quadrature sizes: vector widths that are exact up to 8, 16, 32 and 64 distinct features on a path."""

# A branch without training cover gets this share instead of 0: the products below divide by shares.
_LEAST_SHARE = 1e-12


@dataclass(frozen=True, slots=True)
class Paths:
    """Shapley constants of a forest; node columns are in the order of the forest.

    Attributes:
        share: z of the edge into each node: the product of cover ratios of all edges on the same feature
            from the root to here; 1 for roots.
        earlier: For an inner node: the deepest node at or above it whose incoming edge decides on the same
            feature; -1 if there is none, and for leaves.
        points: Quadrature points that each tree needs (one of `POINTS`).
        expectation: Expected margin over the training cover, base margin included: the base value.
    """

    share: Doubles
    earlier: Ints
    points: Ints
    expectation: float

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self.share.nbytes + self.earlier.nbytes + self.points.nbytes


def plan_paths(forest: Forest) -> Paths:
    """Work out the constants.

    Raises:
        ArtefactError: A path decides on more distinct features than the largest quadrature is exact for.
    """
    nodes = len(forest.left)
    ratio = np.ones(nodes)
    above = forest.cover[forest.parent]
    np.divide(forest.cover, above, out=ratio, where=above > 0)
    ratio[above <= 0] = 0.5
    ratio = np.maximum(ratio, _LEAST_SHARE)
    ratio[forest.depth == 0] = 1.0
    earlier = _earlier(forest)
    share = ratio.copy()
    reach = ratio.copy()
    distinct = np.zeros(nodes, np.int32)
    for depth in range(1, int(forest.depth.max()) + 1):
        level = np.flatnonzero(forest.depth == depth)
        parent = forest.parent[level]
        before = earlier[parent]
        repeated = before >= 0
        share[level[repeated]] *= share[before[repeated]]
        reach[level] *= reach[parent]
        distinct[level] = distinct[parent] + ~repeated
    most = np.maximum.reduceat(distinct, forest.roots[:-1])
    if most.max() > 2 * POINTS[-1]:
        raise ArtefactError(f"A path of the model decides on more than {2 * POINTS[-1]} different features.")
    points = np.array(POINTS, np.int32)[np.searchsorted(2 * np.array(POINTS), most)]
    return Paths(share, earlier, points, forest.base + float(np.dot(reach, forest.value)))


def _earlier(forest: Forest) -> Ints:
    """Climb from all inner nodes at once until the edge above decides on the node's own feature."""
    earlier = np.full(len(forest.left), -1, np.int32)
    climbing = np.flatnonzero(forest.left >= 0)
    edge = climbing.copy()
    while len(climbing):
        below_root = forest.depth[edge] > 0
        climbing, edge = climbing[below_root], edge[below_root]
        found = forest.feature[forest.parent[edge]] == forest.feature[climbing]
        earlier[climbing[found]] = edge[found]
        climbing, edge = climbing[~found], forest.parent[edge[~found]]
    return earlier


def quadrature(points: int) -> tuple[Doubles, Doubles]:
    """Gauss-Legendre points and weights on [0, 1]."""
    position, weight = np.polynomial.legendre.leggauss(points)
    return (position + 1) / 2, weight / 2
