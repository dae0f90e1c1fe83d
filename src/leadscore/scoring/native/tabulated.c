/* Exact path-dependent TreeSHAP from precomputed entries; tables.py says what they hold.
 *
 * Down the branches: products times the factors of the row's way. In each group: a leaf sum and three effects.
 * Up the branches: leaf sums, and one effect each. No step depends on a branch of this code, so the CPU overlaps
 * the memory latencies of many pieces and trees.
 */
#include "kernel.h"

/* A vector register of every CPU that matters: the same sums on all of them. */
#define LANES 2
typedef double Lanes __attribute__((vector_size(LANES * sizeof(double)), may_alias));

#define BLOCKS (points / LANES)
#define UNIT 16

_Static_assert(LANES == SUM_LANES, "sums hold one register per feature");

/* All that a walk needs, in one place that the compiler keeps in registers. */
typedef struct {
    const uint32_t *slots;
    const double *entries;
    Lanes *carried;
    Lanes *sums;
    uint8_t *passed;
    uint8_t *state;
} Walk;

INLINE uint32_t outcome(const Walk *walk, const Decision *decision)
{
    return (walk->slots[decision->slot] & decision->mask) >= decision->test;
}

INLINE uint32_t history(const Walk *walk, const Decision *decision)
{
    return walk->passed[decision->earlier] * (uint32_t)decision->stride;
}

INLINE const Lanes *entry_at(const Walk *walk, uint32_t first, uint32_t state, int points)
{
    return (const Lanes *)(walk->entries + ((uint64_t)first + (uint64_t)state * (uint32_t)(points / 4)) * UNIT);
}

INLINE void branch_down(const Walk *walk, const Branch *branch, int32_t position, int points)
{
    const Decision *decision = &branch->decision;
    uint32_t right = outcome(walk, decision), state = right + history(walk, decision);
    uint32_t passed = walk->passed[decision->earlier] | !decision->stride;
    uint32_t to_left = branch->left, to_right = branch->right;
    const Lanes *entry = entry_at(walk, branch->entry, state, points);
    const Lanes *from = walk->carried + position * BLOCKS;
    Lanes *left = walk->carried + to_left * BLOCKS, *other = walk->carried + to_right * BLOCKS;
    walk->state[position] = (uint8_t)state;
    walk->passed[to_left] = (uint8_t)(passed & ~right);
    walk->passed[to_right] = (uint8_t)(passed & right);
    for (int k = 0; k < BLOCKS; k++) {
        Lanes product = from[k], down_left = entry[k], down_right = entry[BLOCKS + k];
        left[k] = product * down_left;
        other[k] = product * down_right;
    }
}

INLINE void branch_up(const Walk *walk, const Branch *branch, int32_t position, int points)
{
    const Lanes *weights = entry_at(walk, branch->entry, walk->state[position], points) + 2 * BLOCKS;
    const Lanes *left = walk->carried + branch->left * BLOCKS, *other = walk->carried + branch->right * BLOCKS;
    Lanes *sum = walk->carried + position * BLOCKS, effect = {0};
    for (int k = 0; k < BLOCKS; k++) {
        Lanes from_left = left[k], from_right = other[k];
        effect += from_left * weights[k] + from_right * weights[BLOCKS + k];
        sum[k] = from_left + from_right;
    }
    walk->sums[branch->decision.feature] += effect;
}

INLINE void evaluate_group(const Walk *walk, const Group *group, int32_t position, int points)
{
    uint32_t state = 0;
    for (int i = 0; i < 3; i++)
        state += (outcome(walk, &group->decision[i]) << i) + history(walk, &group->decision[i]);
    const Lanes *entry = entry_at(walk, group->entry, state, points);
    Lanes *carried = walk->carried + position * BLOCKS;
    Lanes effect[3] = {{0}, {0}, {0}};
    for (int k = 0; k < BLOCKS; k++) {
        Lanes product = carried[k];
        for (int i = 0; i < 3; i++)
            effect[i] += product * entry[(i + 1) * BLOCKS + k];
        carried[k] = product * entry[k];
    }
    for (int i = 0; i < 3; i++)
        walk->sums[group->decision[i].feature] += effect[i];
}

INLINE void explain_tree(const Forest *forest, int32_t tree, const Walk *walk, int points)
{
    const int32_t *start = forest->parts + 3 * (int64_t)tree, *end = start + 3;
    const Branch *branches = forest->branches + start[0];
    const Group *groups = forest->groups + start[1];
    const double *leaves = forest->leaves + start[2];
    int32_t branch_count = end[0] - start[0], group_count = end[1] - start[1], leaf_count = end[2] - start[2];
    const Lanes *weight = (const Lanes *)(forest->quadrature + 2 * (points - 4) + points);
    for (int k = 0; k < BLOCKS; k++)
        walk->carried[k] = weight[k];
    walk->passed[0] = 1;
    for (int32_t i = 0; i < branch_count; i++)
        branch_down(walk, branches + i, i, points);
    for (int32_t i = 0; i < group_count; i++)
        evaluate_group(walk, groups + i, branch_count + i, points);
    for (int32_t i = 0; i < leaf_count; i++) {
        Lanes *carried = walk->carried + (branch_count + group_count + i) * BLOCKS;
        for (int k = 0; k < BLOCKS; k++)
            carried[k] *= leaves[i];
    }
    for (int32_t i = branch_count - 1; i >= 0; i--)
        branch_up(walk, branches + i, i, points);
}

void explain_tabulated(const Forest *forest, const uint32_t *slots, const Pieces *pieces, double *values)
{
    const Walk walk = {slots,         forest->entries, (Lanes *)pieces->carried, (Lanes *)pieces->sums,
                       pieces->passed, pieces->state};
    memset(pieces->sums, 0, (size_t)forest->features * sizeof(Lanes));
    for (int32_t i = 0; i < forest->trees; i++) {
        /* Constant trip counts, so that the compiler keeps vectors in registers. */
        switch (forest->points[i]) {
        case 4:
            explain_tree(forest, i, &walk, 4);
            break;
        case 8:
            explain_tree(forest, i, &walk, 8);
            break;
        case 16:
            explain_tree(forest, i, &walk, 16);
            break;
        default:
            explain_tree(forest, i, &walk, 32);
        }
    }
    for (int32_t i = 0; i < forest->features; i++)
        values[i] = pieces->sums[i * LANES] + pieces->sums[i * LANES + 1];
    values[forest->features] = forest->expectation;
}
