/* Margins: every tree is walked in a fixed number of branch-free steps, eight walks at a time, so that the
 * CPU always has independent loads to work on. */
#include "kernel.h"

#include <math.h>
#include <stdlib.h>

#define WALKS 8
#define STACK_SLOTS 2048
#define BLOCK_BYTES 16384

/* Leaves are added in tree order, one by one: float32 sums equal XGBoost's bit for bit. */
typedef struct {
    float single;
    double wide;
} Sum;

INLINE void add_leaf(const Forest *forest, Sum *sum, int64_t node)
{
    if (forest->value)
        sum->wide += forest->value[node];
    else
        sum->single += as_float(forest->nodes[node].mask);
}

INLINE float margin_of(const Forest *forest, const Sum *sum)
{
    return forest->value ? (float)sum->wide : sum->single;
}

static float walk_trees(const Forest *forest, const uint32_t *slots)
{
    Sum sum = {forest->base_float, forest->base_double};
    for (int32_t first = 0; first < forest->trees; first += WALKS) {
        int32_t count = forest->trees - first < WALKS ? forest->trees - first : WALKS;
        const Node *tree[WALKS];
        uint32_t at[WALKS] = {0};
        int32_t steps = 0;
        for (int32_t lane = 0; lane < WALKS; lane++) {
            int32_t index = first + (lane < count ? lane : 0);
            tree[lane] = forest->nodes + forest->roots[index];
            steps = forest->depths[index] > steps ? forest->depths[index] : steps;
        }
        for (int32_t step = 0; step < steps; step++) {
            for (int32_t lane = 0; lane < WALKS; lane++) {
                const Node *node = tree[lane] + at[lane];
                at[lane] = node->left + goes_right(node, slots);
            }
        }
        for (int32_t lane = 0; lane < count; lane++)
            add_leaf(forest, &sum, forest->roots[first + lane] + (int64_t)at[lane]);
    }
    return margin_of(forest, &sum);
}

/* Margin of one row; NaN if memory ran out. */
EXPORT float leadscore_margin(const Forest *forest, const float *row)
{
    uint32_t on_stack[STACK_SLOTS];
    uint32_t *slots = on_stack;
    if (forest->slots > STACK_SLOTS && !(slots = malloc((size_t)forest->slots * sizeof *slots)))
        return NAN;
    expand_row(forest, row, slots);
    float margin = walk_trees(forest, slots);
    if (slots != on_stack)
        free(slots);
    return margin;
}

/* One tree for eight rows; lanes beyond `count` repeat the first row. */
INLINE void walk_rows(const Forest *forest, int32_t tree, const uint32_t *slots, int32_t count, Sum *sums)
{
    const Node *nodes = forest->nodes + forest->roots[tree];
    const uint32_t *row[WALKS];
    uint32_t at[WALKS] = {0};
    for (int32_t lane = 0; lane < WALKS; lane++)
        row[lane] = slots + (int64_t)(lane < count ? lane : 0) * forest->slots;
    for (int32_t step = 0; step < forest->depths[tree]; step++) {
        for (int32_t lane = 0; lane < WALKS; lane++) {
            const Node *node = nodes + at[lane];
            at[lane] = node->left + goes_right(node, row[lane]);
        }
    }
    for (int32_t lane = 0; lane < count; lane++)
        add_leaf(forest, &sums[lane], forest->roots[tree] + (int64_t)at[lane]);
}

static void walk_block(const Forest *forest, const uint32_t *slots, int32_t rows, Sum *sums)
{
    for (int32_t tree = 0; tree < forest->trees; tree++) {
        for (int32_t first = 0; first < rows; first += WALKS) {
            int32_t count = rows - first < WALKS ? rows - first : WALKS;
            walk_rows(forest, tree, slots + (int64_t)first * forest->slots, count, sums + first);
        }
    }
}

/* Margins of `rows` rows, one after the other in memory; returns 0, or -1 if memory ran out. */
EXPORT int32_t leadscore_margins(const Forest *forest, const float *matrix, int64_t rows, float *margins)
{
    /* Blocks whose slots stay in the first-level cache while one tree after the other passes over them. */
    int64_t block = BLOCK_BYTES / ((int64_t)forest->slots * (int64_t)sizeof(uint32_t)) / WALKS * WALKS;
    block = block < WALKS ? WALKS : block;
    uint32_t *slots = malloc((size_t)(block * forest->slots) * sizeof *slots);
    Sum *sums = malloc((size_t)block * sizeof *sums);
    int32_t status = slots && sums ? 0 : -1;
    for (int64_t start = 0; status == 0 && start < rows; start += block) {
        int64_t count = rows - start < block ? rows - start : block;
        for (int64_t i = 0; i < count; i++) {
            expand_row(forest, matrix + (start + i) * forest->features, slots + i * forest->slots);
            sums[i] = (Sum){forest->base_float, forest->base_double};
        }
        walk_block(forest, slots, (int32_t)count, sums);
        for (int64_t i = 0; i < count; i++)
            margins[start + i] = margin_of(forest, &sums[i]);
    }
    free(slots);
    free(sums);
    return status;
}

/* So that Python never passes a structure that this object does not understand. */
EXPORT int32_t leadscore_abi(void)
{
    return ABI_VERSION * 65536 + (int32_t)sizeof(Forest);
}
