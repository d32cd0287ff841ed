/* Weights of linear layers in the order in which a pass reads them. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define PAIR_LIMIT 128 /* 255 * 128 < 2^15: the most that four weights of one sign may sum to */
#define WEIGHT_LIMIT 64

static int32_t groups_of(const struct linear *linear) {
    return (int32_t)(padded((size_t)linear->inner, 2 * GROUP) / GROUP);
}

static int32_t panels_of(const struct linear *linear) {
    return (int32_t)(padded((size_t)linear->outer, 2 * PANEL) / PANEL);
}

size_t packed_bytes(const struct linear *linear) {
    return (size_t)groups_of(linear) * (size_t)panels_of(linear) * GROUP_BYTES;
}

/* One group of a panel: four rows of `count` <= 16 weights, made one. */
static void pack_group(int8_t *to, const int8_t *from, int32_t stride, int32_t rows, int32_t count, int32_t *sums) {
    int8_t four[GROUP][PANEL] = {{0}};
    for (int32_t i = 0; i < rows; i++) memcpy(four[i], from + (size_t)i * (size_t)stride, (size_t)count);
    for (int32_t n = 0; n < PANEL; n++) {
        to[n * GROUP] = four[0][n];
        to[n * GROUP + 1] = four[1][n];
        to[n * GROUP + 2] = four[2][n];
        to[n * GROUP + 3] = four[3][n];
        sums[n] += four[0][n] + four[1][n] + four[2][n] + four[3][n];
    }
}

static void pack_panel(int8_t *to, const struct linear *linear, int32_t panel, int32_t *sums) {
    const int32_t first = panel * PANEL, left = linear->outer - first;
    for (int32_t k = 0; k < linear->inner; k += GROUP, to += GROUP_BYTES)
        pack_group(to, linear->weight + (size_t)k * (size_t)linear->outer + first, linear->outer,
                   linear->inner - k < GROUP ? linear->inner - k : GROUP, left < PANEL ? left : PANEL, sums + first);
}

static int within_limit(const struct linear *linear) {
    int8_t high = 0, low = 0;
    for (size_t i = 0; i < (size_t)linear->inner * (size_t)linear->outer; i++) {
        high = linear->weight[i] > high ? linear->weight[i] : high;
        low = linear->weight[i] < low ? linear->weight[i] : low;
    }
    return high <= WEIGHT_LIMIT && low >= -WEIGHT_LIMIT;
}

/* Whether products of these two groups' weights of one output may overflow 16 bits when they are added. */
static int overflows(const int8_t *one, const int8_t *other) {
    for (int32_t half = 0; half < GROUP; half += 2) {
        int32_t up = 0, down = 0;
        for (int32_t i = half; i < half + 2; i++) {
            *(one[i] > 0 ? &up : &down) += one[i];
            *(other[i] > 0 ? &up : &down) += other[i];
        }
        if (up > PAIR_LIMIT || down < -PAIR_LIMIT) return 1;
    }
    return 0;
}

/* Whether any output's weights of two groups may overflow: a quick look that most pass. */
static int may_overflow(const int8_t *first, const int8_t *second) {
    int worst = 0;
    for (int32_t i = 0; i < GROUP_BYTES; i += 2) {
        const int sum = abs(first[i]) + abs(first[i + 1]) + abs(second[i]) + abs(second[i + 1]);
        worst = sum > worst ? sum : worst;
    }
    return worst > PAIR_LIMIT;
}

/* Takes what overflows with the first group's weights out of the second's; 0 where nothing does. */
static int take_out(int8_t *first, int8_t *second, int8_t *extra) {
    int any = 0;
    for (int32_t n = 0; n < GROUP_BYTES; n += GROUP) {
        if (!overflows(first + n, second + n)) continue;
        any = 1;
        memcpy(extra + n, second + n, GROUP);
        memset(second + n, 0, GROUP);
    }
    return any;
}

/* Room for one more extra group: doubled when it is full. */
static int grow(struct packed *packed, int32_t used, int32_t *room) {
    if (used < *room) return OK;
    *room = *room ? *room * 2 : 64;
    int32_t *groups = realloc(packed->extra_groups, (size_t)*room * sizeof(int32_t));
    if (groups) packed->extra_groups = groups;
    int8_t *weights = realloc(packed->extra_weights, (size_t)*room * GROUP_BYTES);
    if (weights) packed->extra_weights = weights;
    return groups && weights ? OK : NO_MEMORY;
}

static int pack_extras(struct packed *packed, int8_t *weights) {
    int32_t used = 0, room = 0;
    for (int32_t panel = 0; panel < packed->panels; panel++) {
        for (int32_t group = 0; group < packed->groups; group += 2, weights += 2 * GROUP_BYTES) {
            if (!may_overflow(weights, weights + GROUP_BYTES)) continue;
            if (grow(packed, used, &room)) return NO_MEMORY;
            int8_t *extra = packed->extra_weights + (size_t)used * GROUP_BYTES;
            memset(extra, 0, GROUP_BYTES);
            if (take_out(weights, weights + GROUP_BYTES, extra)) packed->extra_groups[used++] = group + 1;
        }
        packed->extra_starts[panel + 1] = used;
    }
    return OK;
}

static float *copied(const float *from, int32_t count, int32_t room) {
    float *to = calloc((size_t)room, sizeof(float));
    if (to && from) memcpy(to, from, (size_t)count * sizeof(float));
    return to;
}

int pack(struct packed *packed, const struct linear *linear, int8_t *weights, int sums_in_16_bits) {
    packed->groups = groups_of(linear);
    packed->panels = panels_of(linear);
    packed->inner = linear->inner;
    packed->outer = packed->panels * PANEL;
    packed->weights = weights;
    packed->scale = copied(linear->scale, linear->outer, packed->outer);
    packed->bias = copied(linear->bias, linear->outer, packed->outer);
    packed->factor = copied(linear->factor, linear->inner, linear->inner);
    packed->sums = calloc((size_t)packed->outer, sizeof(int32_t));
    packed->extra_starts = calloc((size_t)packed->panels + 1, sizeof(int32_t));
    if (!packed->scale || !packed->bias || !packed->factor || !packed->sums || !packed->extra_starts) return NO_MEMORY;
    if (!within_limit(linear)) return BAD_SHAPE;
    for (int32_t panel = 0; panel * PANEL < linear->outer; panel++)
        pack_panel(weights + (size_t)panel * (size_t)packed->groups * GROUP_BYTES, linear, panel, packed->sums);
    return sums_in_16_bits ? pack_extras(packed, weights) : OK;
}

void free_packed(struct packed *packed) {
    free(packed->scale);
    free(packed->bias);
    free(packed->factor);
    free(packed->sums);
    free(packed->extra_starts);
    free(packed->extra_groups);
    free(packed->extra_weights);
}
