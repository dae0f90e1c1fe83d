/* The layout of a forest that Python hands over (see slots.py, paths.py and tables.py for its meaning).
 *
 * Python validates every index once, when it builds these arrays; nothing here checks them again.
 * All memory belongs to Python; functions keep no state, so any number of threads may call them.
 */
#ifndef LEADSCORE_KERNEL_H
#define LEADSCORE_KERNEL_H

#include <stdint.h>
#include <string.h>

#define ABI_VERSION 2

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* Also into functions for a wider instruction set, where it is compiled for theirs. */
#define INLINE static inline __attribute__((always_inline))

typedef struct {
    uint32_t test;
    uint32_t mask; /* a leaf: its value */
    uint16_t slot;
    uint16_t left;
} Node;

typedef struct {
    uint16_t feature;
    uint16_t earlier; /* 0: none; a root has no incoming edge */
} Edge;

typedef struct {
    uint32_t test;
    uint32_t mask;
    uint16_t slot;
    uint16_t earlier;
    uint16_t feature;
    uint16_t stride; /* 0: no earlier edge matters, and `earlier` is the root */
} Decision;

typedef struct {
    Decision decision;
    uint32_t entry;
    uint16_t left;
    uint16_t right;
} Branch;

typedef struct {
    Decision decision[3];
    uint32_t entry;
} Group;

typedef struct {
    int32_t features;
    int32_t slots;
    int32_t numeric;
    int32_t categorical;
    int32_t trees;
    int32_t largest_tree;
    int32_t most_points;
    float lowest_code;
    float base_float;
    double base_double;
    double expectation;
    const int32_t *numeric_feature;
    const int32_t *numeric_missing;
    const int32_t *category_feature;
    const int32_t *category_codes;
    const int32_t *category_slot;
    const int32_t *category_width;
    const int32_t *category_start;
    const uint32_t *category_table;
    const Node *nodes;
    const int32_t *roots;
    const int32_t *depths;
    const double *value; /* NULL: leaf values are the float32 in `mask`, summed as float32 */
    const Edge *edges;
    const double *share;
    const int32_t *points;
    const double *quadrature; /* for 4, 8, 16, 32 points: the points, then the weights */
    const int32_t *parts;
    const Branch *branches;
    const Group *groups;
    const double *leaves;
    const double *entries; /* NULL: too many, explained without */
} Forest;

#define SUM_LANES 2

/* Working memory of explain_tabulated; one position per piece of the largest tree. */
typedef struct {
    double *carried; /* positions x points: products, then leaf sums */
    double *sums;    /* features x SUM_LANES */
    uint8_t *passed;
    uint32_t *entry; /* 2 x positions: the entries that the row takes in this tree and in the next */
} Pieces;

INLINE float as_float(uint32_t bits)
{
    float number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* 1 if the node sends the row right, else 0: no branch that the CPU could mispredict. */
INLINE uint32_t goes_right(const Node *node, const uint32_t *slots)
{
    return (slots[node->slot] & node->mask) >= node->test;
}

/* Turn one row into slots. */
void expand_row(const Forest *forest, const float *row, uint32_t *slots);

/* Shapley values of one row, from tables. */
void explain_tabulated(const Forest *forest, const uint32_t *slots, const Pieces *pieces, double *values);

#endif
