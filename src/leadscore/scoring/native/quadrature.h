/* One row's way through one tree, for one width of vectors: included once per instruction set by shapley.c, with
 * LANES (doubles per vector register), TARGET (the attribute that allows those registers) and NAMED (suffixes a name).
 *
 * Down: each node gets the product, per quadrature point, of the factors of the distinct features above it.
 * Up: the products become sums of leaf value times product over the leaves below.
 * A feature's effect at a node: what its two edges say of the leaves below, less what an earlier edge on the same
 * feature had said of them. Once the row has failed a decision on a feature (its edge is "cold"), deeper decisions on
 * it only split the same effect, so they contribute nothing.
 */

typedef double NAMED(Lanes) __attribute__((vector_size(LANES * sizeof(double)), may_alias));

#define LANES_AT(numbers, index) ((NAMED(Lanes) *)(numbers) + (int64_t)(index) * (points / LANES))
#define BLOCKS (points / LANES)

TARGET INLINE void NAMED(carry_down)(const Tree *tree, const uint32_t *slots, const Quadrature *quadrature, int points,
                                     Scratch *scratch)
{
    const NAMED(Lanes) *point = LANES_AT(quadrature->point, 0), *absent = LANES_AT(quadrature->absent, 0);
    uint8_t *passed = scratch->passed;
    for (int k = 0; k < points; k++) {
        scratch->carried[k] = quadrature->weight[k];
        scratch->inverse[k] = 1.0;
    }
    passed[0] = 1;
    for (int32_t i = 0; i < tree->count; i++) {
        const Node *node = tree->nodes + i;
        NAMED(Lanes) *from = LANES_AT(scratch->carried, i);
        if (node->left == i) {
            double value = tree->value ? tree->value[i] : (double)as_float(node->mask);
            for (int k = 0; k < BLOCKS; k++)
                from[k] *= value;
            continue;
        }
        int32_t right = (int32_t)goes_right(node, slots), hot = node->left + right, cold = node->left + 1 - right;
        int32_t earlier = tree->edges[i].earlier;
        double hot_share = tree->share[hot], cold_share = tree->share[cold];
        NAMED(Lanes) *to_hot = LANES_AT(scratch->carried, hot), *to_cold = LANES_AT(scratch->carried, cold);
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
        const NAMED(Lanes) *undone = LANES_AT(scratch->inverse, earlier);
        NAMED(Lanes) *inverse_hot = LANES_AT(scratch->inverse, hot);
        for (int k = 0; k < BLOCKS; k++) {
            NAMED(Lanes) product = from[k] * undone[k];
            NAMED(Lanes) factor = point[k] + hot_share * absent[k];
            to_hot[k] = product * factor;
            to_cold[k] = product * (cold_share * absent[k]);
            inverse_hot[k] = 1.0 / factor;
        }
    }
}

TARGET INLINE void NAMED(sum_up)(const Tree *tree, const Quadrature *quadrature, int points, const Scratch *scratch,
                                 double *values)
{
    const NAMED(Lanes) *inverse_absent = LANES_AT(quadrature->inverse_absent, 0);
    for (int32_t i = tree->count - 1; i >= 0; i--) {
        const Node *node = tree->nodes + i;
        if (node->left == i)
            continue;
        int32_t right = scratch->right[i], hot = node->left + right, cold = node->left + 1 - right;
        int32_t earlier = tree->edges[i].earlier;
        const NAMED(Lanes) *below_hot = LANES_AT(scratch->carried, hot), *below_cold = LANES_AT(scratch->carried, cold);
        NAMED(Lanes) *sum = LANES_AT(scratch->carried, i);
        for (int k = 0; k < BLOCKS; k++)
            sum[k] = below_hot[k] + below_cold[k];
        if (!scratch->passed[earlier])
            continue;
        const NAMED(Lanes) *inverse_hot = LANES_AT(scratch->inverse, hot);
        const NAMED(Lanes) *inverse_earlier = LANES_AT(scratch->inverse, earlier);
        /* A root's share is 1, so without an earlier edge the last term is nothing. */
        double hot_weight = 1 - tree->share[hot], earlier_weight = 1 - tree->share[earlier];
        NAMED(Lanes) effect = {0};
        for (int k = 0; k < BLOCKS; k++)
            effect += hot_weight * below_hot[k] * inverse_hot[k] - below_cold[k] * inverse_absent[k]
                      - earlier_weight * sum[k] * inverse_earlier[k];
        double total = 0;
        for (int lane = 0; lane < LANES; lane++)
            total += effect[lane];
        values[tree->edges[i].feature] += total;
    }
}

TARGET INLINE void NAMED(explain_tree)(const Tree *tree, const uint32_t *slots, const Quadrature *quadrature,
                                       int points, Scratch *scratch, double *values)
{
    NAMED(carry_down)(tree, slots, quadrature, points, scratch);
    NAMED(sum_up)(tree, quadrature, points, scratch, values);
}

TARGET static void NAMED(explain_row)(const Forest *forest, const uint32_t *slots, const Quadrature *quadratures,
                                      Scratch *scratch, double *values)
{
    for (int32_t i = 0; i < forest->trees; i++) {
        int32_t root = forest->roots[i];
        Tree tree = {forest->nodes + root, forest->edges + root, forest->share + root,
                     forest->value ? forest->value + root : NULL, forest->roots[i + 1] - root};
        /* Constant trip counts, so that the compiler keeps vectors in registers. */
        switch (forest->points[i]) {
        case 4:
            NAMED(explain_tree)(&tree, slots, &quadratures[0], 4, scratch, values);
            break;
        case 8:
            NAMED(explain_tree)(&tree, slots, &quadratures[1], 8, scratch, values);
            break;
        case 16:
            NAMED(explain_tree)(&tree, slots, &quadratures[2], 16, scratch, values);
            break;
        default:
            NAMED(explain_tree)(&tree, slots, &quadratures[3], MAX_POINTS, scratch, values);
        }
    }
    values[forest->features] = forest->expectation;
}

#undef LANES_AT
#undef BLOCKS
