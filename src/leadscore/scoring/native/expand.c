/* A row of features becomes a row of slots (see slots.py). */
#include "kernel.h"

#include <math.h>

enum { MISSING_LEFT, MISSING_RIGHT, MISSING_AS_ZERO, MISSING_OR_ZERO_LEFT, MISSING_OR_ZERO_RIGHT, MISSING_ONLY_LEFT };

static const float ZERO_BOUND = 1e-35f;

static float numeric_content(float value, int32_t missing)
{
    int nothing = isnan(value);
    switch (missing) {
    case MISSING_LEFT:
        return nothing ? -INFINITY : value;
    case MISSING_RIGHT:
        return nothing ? INFINITY : value;
    case MISSING_AS_ZERO:
        return nothing ? 0.0f : value;
    case MISSING_OR_ZERO_LEFT:
        return nothing || fabsf(value) <= ZERO_BOUND ? -INFINITY : value;
    case MISSING_OR_ZERO_RIGHT:
        return nothing || fabsf(value) <= ZERO_BOUND ? INFINITY : value;
    default:
        return nothing ? -INFINITY : INFINITY;
    }
}

/* An integer in the order of the numbers; adding zero makes both zeros equal. */
static uint32_t sortable(float number)
{
    uint32_t bits;
    number += 0.0f;
    memcpy(&bits, &number, sizeof bits);
    return bits >> 31 ? ~bits : bits | (1u << 31);
}

void expand_row(const Forest *forest, const float *row, uint32_t *slots)
{
    slots[0] = 0;
    for (int32_t i = 0; i < forest->numeric; i++)
        slots[i + 1] = sortable(numeric_content(row[forest->numeric_feature[i]], forest->numeric_missing[i]));
    for (int32_t i = 0; i < forest->categorical; i++) {
        float value = row[forest->category_feature[i]];
        int32_t codes = forest->category_codes[i], width = forest->category_width[i];
        int32_t code = isnan(value) ? codes + 1 : codes;
        if (value > forest->lowest_code && value < (float)codes)
            code = (int32_t)value;
        const uint32_t *contents = forest->category_table + forest->category_start[i] + (int64_t)code * width;
        uint32_t *target = slots + forest->category_slot[i];
        if (width == 1)
            *target = *contents;
        else
            memcpy(target, contents, (size_t)width * sizeof *target);
    }
}
