/* Exact path-dependent TreeSHAP by Gauss-Legendre quadrature; paths.py derives it. Forests of ordinary size have
 * tables and are explained by tabulated.c; what follows needs none and serves the others.
 *
 * Down: each node gets the product, per quadrature point, of the factors of the distinct features above it.
 * Up: the products become sums of leaf value times product over the leaves below.
 * A feature's effect at a node: what its two edges say of the leaves below, less what an earlier edge on the same
 * feature had said of them. Once the row has failed a decision on a feature (its edge is "cold"), deeper decisions on
 * it only split the same effect, so they contribute nothing.
 */
#include "kernel.h"

#include <stdlib.h>

#define MAX_POINTS 32

/* Two doubles fill a vector register of every CPU that matters; wider ones measured little faster, because the work
 * per node is as much finding the way as arithmetic. */
#define LANES 2
typedef double Lanes __attribute__((vector_size(LANES * sizeof(double)), may_alias));

#define BLOCKS (points / LANES)
#define LANES_AT(numbers, index) ((Lanes *)(numbers) + (int64_t)(index) * BLOCKS)

typedef struct {
    double *carried; /* nodes x points: products, then leaf sums */
    double *inverse; /* nodes x points: 1 / factor of the edge into a hot node */
    uint8_t *passed; /* does the row pass every decision so far on the feature of the edge into the node */
    uint8_t *right;  /* outcome of the node's own decision */
} Scratch;

typedef struct {
    _Alignas(sizeof(Lanes)) double point[MAX_POINTS];
    _Alignas(sizeof(Lanes)) double absent[MAX_POINTS];
    _Alignas(sizeof(Lanes)) double inverse_absent[MAX_POINTS];
    _Alignas(sizeof(Lanes)) double weight[MAX_POINTS];
} Quadrature;

typedef struct {
    const Node *nodes;
    const Edge *edges;
    const double *share;
    const double *value;
    int32_t count;
} Tree;

INLINE void carry_down(const Tree *tree, const uint32_t *slots, const Quadrature *quadrature, int points,
                       Scratch *scratch)
{
    const Lanes *point = LANES_AT(quadrature->point, 0), *absent = LANES_AT(quadrature->absent, 0);
    uint8_t *passed = scratch->passed;
    for (int k = 0; k < points; k++) {
        scratch->carried[k] = quadrature->weight[k];
        scratch->inverse[k] = 1.0;
    }
    passed[0] = 1;
    for (int32_t i = 0; i < tree->count; i++) {
        const Node *node = tree->nodes + i;
        Lanes *from = LANES_AT(scratch->carried, i);
        if (node->left == i) {
            double value = tree->value ? tree->value[i] : (double)as_float(node->mask);
            for (int k = 0; k < BLOCKS; k++)
                from[k] *= value;
            continue;
        }
        int32_t right = (int32_t)goes_right(node, slots), hot = node->left + right, cold = node->left + 1 - right;
        int32_t earlier = tree->edges[i].earlier;
        double hot_share = tree->share[hot], cold_share = tree->share[cold];
        Lanes *to_hot = LANES_AT(scratch->carried, hot), *to_cold = LANES_AT(scratch->carried, cold);
        scratch->right[i] = (uint8_t)right;
        passed[cold] = 0;
        passed[hot] = passed[earlier];
        if (!passed[earlier]) {
            double undone = 1.0 / tree->share[earlier];
            for (int k = 0; k < BLOCKS; k++) {
                to_hot[k] = from[k] * (hot_share * undone);
                to_cold[k] = from[k] * (cold_share * undone);
            }
            continue;
        }
        const Lanes *undone = LANES_AT(scratch->inverse, earlier);
        Lanes *inverse_hot = LANES_AT(scratch->inverse, hot);
        for (int k = 0; k < BLOCKS; k++) {
            Lanes product = from[k] * undone[k];
            Lanes factor = point[k] + hot_share * absent[k];
            to_hot[k] = product * factor;
            to_cold[k] = product * (cold_share * absent[k]);
            inverse_hot[k] = 1.0 / factor;
        }
    }
}

INLINE void sum_up(const Tree *tree, const Quadrature *quadrature, int points, const Scratch *scratch, double *values)
{
    const Lanes *inverse_absent = LANES_AT(quadrature->inverse_absent, 0);
    for (int32_t i = tree->count - 1; i >= 0; i--) {
        const Node *node = tree->nodes + i;
        if (node->left == i)
            continue;
        int32_t right = scratch->right[i], hot = node->left + right, cold = node->left + 1 - right;
        int32_t earlier = tree->edges[i].earlier;
        const Lanes *below_hot = LANES_AT(scratch->carried, hot), *below_cold = LANES_AT(scratch->carried, cold);
        Lanes *sum = LANES_AT(scratch->carried, i);
        for (int k = 0; k < BLOCKS; k++)
            sum[k] = below_hot[k] + below_cold[k];
        if (!scratch->passed[earlier])
            continue;
        const Lanes *inverse_hot = LANES_AT(scratch->inverse, hot);
        const Lanes *inverse_earlier = LANES_AT(scratch->inverse, earlier);
        /* A root's share is 1, so without an earlier edge the last term is nothing. */
        double hot_weight = 1 - tree->share[hot], earlier_weight = 1 - tree->share[earlier];
        Lanes effect = {0};
        for (int k = 0; k < BLOCKS; k++)
            effect += hot_weight * below_hot[k] * inverse_hot[k] - below_cold[k] * inverse_absent[k]
                      - earlier_weight * sum[k] * inverse_earlier[k];
        double total = 0;
        for (int lane = 0; lane < LANES; lane++)
            total += effect[lane];
        values[tree->edges[i].feature] += total;
    }
}

INLINE void explain_tree(const Tree *tree, const uint32_t *slots, const Quadrature *quadrature,
                         int points, Scratch *scratch, double *values)
{
    carry_down(tree, slots, quadrature, points, scratch);
    sum_up(tree, quadrature, points, scratch, values);
}

static void explain_row(const Forest *forest, const uint32_t *slots, const Quadrature *quadratures,
                        Scratch *scratch, double *values)
{
    for (int32_t i = 0; i < forest->trees; i++) {
        int32_t root = forest->roots[i];
        Tree tree = {forest->nodes + root, forest->edges + root, forest->share + root,
                     forest->value ? forest->value + root : NULL, forest->roots[i + 1] - root};
        /* Constant trip counts, so that the compiler keeps vectors in registers. */
        switch (forest->points[i]) {
        case 4:
            explain_tree(&tree, slots, &quadratures[0], 4, scratch, values);
            break;
        case 8:
            explain_tree(&tree, slots, &quadratures[1], 8, scratch, values);
            break;
        case 16:
            explain_tree(&tree, slots, &quadratures[2], 16, scratch, values);
            break;
        default:
            explain_tree(&tree, slots, &quadratures[3], MAX_POINTS, scratch, values);
        }
    }
    values[forest->features] = forest->expectation;
}

static void read_quadratures(const double *numbers, Quadrature *quadratures)
{
    for (int points = 4, i = 0; points <= MAX_POINTS; points *= 2, i++) {
        for (int k = 0; k < points; k++) {
            quadratures[i].point[k] = numbers[k];
            quadratures[i].absent[k] = 1 - numbers[k];
            quadratures[i].inverse_absent[k] = 1 / (1 - numbers[k]);
            quadratures[i].weight[k] = numbers[points + k];
        }
        numbers += 2 * points;
    }
}

static void explain_rows(const Forest *forest, const float *matrix, int64_t rows, double *values, uint32_t *slots,
                         Scratch *scratch, const Pieces *pieces)
{
    Quadrature quadratures[4];
    if (!forest->entries)
        read_quadratures(forest->quadrature, quadratures);
    for (int64_t i = 0; i < rows; i++) {
        double *target = values + i * (forest->features + 1);
        expand_row(forest, matrix + i * forest->features, slots);
        if (forest->entries)
            explain_tabulated(forest, slots, pieces, target);
        else
            explain_row(forest, slots, quadratures, scratch, target);
    }
}

/* Shapley values of `rows` rows into a zeroed (rows, features + 1) array; returns 0, or -1 if memory ran out. */
EXPORT int32_t leadscore_shapley(const Forest *forest, const float *matrix, int64_t rows, double *values)
{
    size_t nodes = (size_t)forest->largest_tree;
    size_t bytes = nodes * (size_t)forest->most_points * sizeof(double);
    uint32_t *slots = malloc((size_t)forest->slots * sizeof *slots);
    Scratch scratch = {aligned_alloc(sizeof(Lanes), bytes), aligned_alloc(sizeof(Lanes), bytes), malloc(nodes),
                       malloc(nodes)};
    size_t sum_bytes = (size_t)forest->features * SUM_LANES * sizeof(double);
    Pieces pieces = {scratch.carried, aligned_alloc(sizeof(Lanes), sum_bytes), scratch.passed,
                     malloc(2 * nodes * sizeof(uint32_t))};
    int ready = slots && scratch.carried && scratch.inverse && scratch.passed && scratch.right;
    int32_t status = ready && pieces.sums && pieces.entry ? 0 : -1;
    if (status == 0)
        explain_rows(forest, matrix, rows, values, slots, &scratch, &pieces);
    free(slots);
    free(pieces.sums);
    free(pieces.entry);
    free(scratch.carried);
    free(scratch.inverse);
    free(scratch.passed);
    free(scratch.right);
    return status;
}
