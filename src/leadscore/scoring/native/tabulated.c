/* Exact path-dependent TreeSHAP from precomputed entries; tables.py says what they hold.
 *
 * First the row's decisions choose an entry per piece of a tree. Then, down the branches, products are multiplied by
 * the factors of the row's way; in each group they become a leaf sum and three effects; up the branches leaf sums add
 * up, and each branch adds one effect. There is nothing to mispredict but the ends of loops.
 */
#include "kernel.h"

/* A vector register of every CPU that matters: the same sums on all of them. */
#define LANES 2
typedef double Lanes __attribute__((vector_size(LANES * sizeof(double)), may_alias));

#define BLOCKS (points / LANES)
#define UNIT 16 /* doubles that entries are counted in */
#define CACHE_LINE 64

_Static_assert(LANES == SUM_LANES, "sums hold one register per feature");

/* Where a tree's pieces lie. */
typedef struct {
    const Branch *branches;
    const Group *groups;
    const double *leaves;
    int32_t branch_count;
    int32_t group_count;
    int32_t leaf_count;
} Tree;

static Tree tree_at(const Forest *forest, int32_t index)
{
    const int32_t *start = forest->parts + 3 * (int64_t)index, *end = start + 3;
    return (Tree){forest->branches + start[0], forest->groups + start[1], forest->leaves + start[2],
                  end[0] - start[0],           end[1] - start[1],         end[2] - start[2]};
}

INLINE uint32_t outcome(const Decision *decision, const uint32_t *slots)
{
    return (slots[decision->slot] & decision->mask) >= decision->test;
}

/* The memory delivers the entry while the tree before is evaluated: entries of all trees exceed a second-level cache,
 * and which ones a row takes no CPU can guess. The first two lines hold all of an entry of four points. */
INLINE void fetch(const Forest *forest, uint32_t entry)
{
    const char *bytes = (const char *)(forest->entries + (uint64_t)entry * UNIT);
    __builtin_prefetch(bytes);
    __builtin_prefetch(bytes + CACHE_LINE);
}

/* Which entry the row takes in each piece; `passed` says, per position, whether the row passes every decision so far on
 * the feature of the edge into it. Not inlined, so that the loops of both steps have all registers. */
static __attribute__((noinline)) void choose_entries(const Forest *forest, int32_t index, const uint32_t *slots,
                                                     uint8_t *passed, uint32_t *entry)
{
    const Tree tree = tree_at(forest, index);
    uint32_t units = (uint32_t)forest->points[index] / 4;
    passed[0] = 1;
    for (int32_t i = 0; i < tree.branch_count; i++) {
        const Branch *branch = tree.branches + i;
        const Decision *decision = &branch->decision;
        uint32_t right = outcome(decision, slots), before = passed[decision->earlier];
        uint32_t left_at = branch->left, right_at = branch->right;
        entry[i] = branch->entry + (right + before * decision->stride) * units;
        fetch(forest, entry[i]);
        passed[left_at] = (uint8_t)(before & ~right);
        passed[right_at] = (uint8_t)(before & right);
    }
    for (int32_t i = 0; i < tree.group_count; i++) {
        const Group *group = tree.groups + i;
        uint32_t state = 0;
        for (int j = 0; j < 3; j++) {
            const Decision *decision = &group->decision[j];
            state += (outcome(decision, slots) << j) + passed[decision->earlier] * (uint32_t)decision->stride;
        }
        entry[tree.branch_count + i] = group->entry + state * units;
        fetch(forest, entry[tree.branch_count + i]);
    }
}

INLINE void evaluate_group(const Group *group, const Lanes *entry, Lanes *carried, Lanes *sums, int points)
{
    Lanes effect[3] = {{0}, {0}, {0}};
    for (int k = 0; k < BLOCKS; k++) {
        Lanes product = carried[k];
        for (int j = 0; j < 3; j++)
            effect[j] += product * entry[(j + 1) * BLOCKS + k];
        carried[k] = product * entry[k];
    }
    for (int j = 0; j < 3; j++)
        sums[group->decision[j].feature] += effect[j];
}

INLINE void evaluate_tree(const Forest *forest, int32_t index, const uint32_t *chosen, Lanes *carried, Lanes *sums,
                          int points)
{
    const Tree tree = tree_at(forest, index);
    const Lanes *entries = (const Lanes *)forest->entries;
    const Lanes *weight = (const Lanes *)(forest->quadrature + 2 * (points - 4) + points);
    for (int k = 0; k < BLOCKS; k++)
        carried[k] = weight[k];
    Lanes *at = carried;
    for (int32_t i = 0; i < tree.branch_count; i++, at += BLOCKS) {
        const Lanes *entry = entries + (uint64_t)chosen[i] * (UNIT / LANES);
        Lanes *left = carried + tree.branches[i].left * BLOCKS, *right = carried + tree.branches[i].right * BLOCKS;
        for (int k = 0; k < BLOCKS; k++) {
            Lanes product = at[k], down_left = entry[k], down_right = entry[BLOCKS + k];
            left[k] = product * down_left;
            right[k] = product * down_right;
        }
    }
    for (int32_t i = 0; i < tree.group_count; i++, at += BLOCKS)
        evaluate_group(tree.groups + i, entries + (uint64_t)chosen[tree.branch_count + i] * (UNIT / LANES), at, sums,
                       points);
    for (int32_t i = 0; i < tree.leaf_count; i++, at += BLOCKS)
        for (int k = 0; k < BLOCKS; k++)
            at[k] *= tree.leaves[i];
    for (int32_t i = tree.branch_count - 1; i >= 0; i--) {
        const Branch *branch = tree.branches + i;
        const Lanes *weights = entries + (uint64_t)chosen[i] * (UNIT / LANES) + 2 * BLOCKS;
        const Lanes *left = carried + branch->left * BLOCKS, *right = carried + branch->right * BLOCKS;
        Lanes *sum = carried + i * BLOCKS, effect = {0};
        for (int k = 0; k < BLOCKS; k++) {
            Lanes from_left = left[k], from_right = right[k];
            effect += from_left * weights[k] + from_right * weights[BLOCKS + k];
            sum[k] = from_left + from_right;
        }
        sums[branch->decision.feature] += effect;
    }
}

void explain_tabulated(const Forest *forest, const uint32_t *slots, const Pieces *pieces, double *values)
{
    Lanes *carried = (Lanes *)pieces->carried, *sums = (Lanes *)pieces->sums;
    uint32_t *chosen = pieces->entry, *next = chosen + forest->largest_tree;
    memset(sums, 0, (size_t)forest->features * sizeof *sums);
    choose_entries(forest, 0, slots, pieces->passed, chosen);
    for (int32_t i = 0; i < forest->trees; i++) {
        if (i + 1 < forest->trees)
            choose_entries(forest, i + 1, slots, pieces->passed, next);
        /* Constant trip counts, so that the compiler keeps vectors in registers. */
        switch (forest->points[i]) {
        case 4:
            evaluate_tree(forest, i, chosen, carried, sums, 4);
            break;
        case 8:
            evaluate_tree(forest, i, chosen, carried, sums, 8);
            break;
        case 16:
            evaluate_tree(forest, i, chosen, carried, sums, 16);
            break;
        default:
            evaluate_tree(forest, i, chosen, carried, sums, 32);
        }
        uint32_t *used = chosen;
        chosen = next;
        next = used;
    }
    for (int32_t i = 0; i < forest->features; i++)
        values[i] = sums[i][0] + sums[i][1];
    values[forest->features] = forest->expectation;
}
