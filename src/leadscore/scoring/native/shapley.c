/* Exact path-dependent TreeSHAP by Gauss-Legendre quadrature; paths.py derives it, quadrature.h does it. */
#include "kernel.h"

#include <stdlib.h>

#define MAX_POINTS 32
#define ALIGNMENT 32

typedef struct {
    double *carried;  /* nodes x points: products, then leaf sums */
    double *inverse;  /* nodes x points: 1 / factor of the edge into a hot node */
    uint8_t *passed;  /* does the row pass every decision so far on the feature of the edge into the node */
    uint8_t *right;   /* outcome of the node's own decision */
} Scratch;

typedef struct {
    _Alignas(ALIGNMENT) double point[MAX_POINTS];
    _Alignas(ALIGNMENT) double absent[MAX_POINTS];
    _Alignas(ALIGNMENT) double inverse_absent[MAX_POINTS];
    _Alignas(ALIGNMENT) double weight[MAX_POINTS];
} Quadrature;

typedef struct {
    const Node *nodes;
    const Edge *edges;
    const double *share;
    const double *value;
    int32_t count;
} Tree;

/* Two doubles fill a vector register of every CPU that matters. */
#define LANES 2
#define TARGET
#define NAMED(name) name##_everywhere
#include "quadrature.h"
#undef LANES
#undef TARGET
#undef NAMED

#if defined(__x86_64__)
#define LANES 4
#define TARGET __attribute__((target("avx2")))
#define NAMED(name) name##_avx2
#include "quadrature.h"
#endif

static void explain_row(const Forest *forest, const uint32_t *slots, const Quadrature *quadratures, Scratch *scratch,
                        double *values)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        explain_row_avx2(forest, slots, quadratures, scratch, values);
        return;
    }
#endif
    explain_row_everywhere(forest, slots, quadratures, scratch, values);
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

/* Shapley values of `rows` rows into a zeroed (rows, features + 1) array; returns 0, or -1 if memory ran out. */
EXPORT int32_t leadscore_shapley(const Forest *forest, const float *matrix, int64_t rows, double *values)
{
    size_t nodes = (size_t)forest->largest_tree;
    size_t bytes = nodes * (size_t)forest->most_points * sizeof(double);
    uint32_t *slots = malloc((size_t)forest->slots * sizeof *slots);
    Scratch scratch = {aligned_alloc(ALIGNMENT, bytes), aligned_alloc(ALIGNMENT, bytes), malloc(nodes), malloc(nodes)};
    int32_t status = slots && scratch.carried && scratch.inverse && scratch.passed && scratch.right ? 0 : -1;
    Quadrature quadratures[4];
    read_quadratures(forest->quadrature, quadratures);
    for (int64_t i = 0; status == 0 && i < rows; i++) {
        expand_row(forest, matrix + i * forest->features, slots);
        explain_row(forest, slots, quadratures, &scratch, values + i * (forest->features + 1));
    }
    free(slots);
    free(scratch.carried);
    free(scratch.inverse);
    free(scratch.passed);
    free(scratch.right);
    return status;
}
