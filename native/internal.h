/* What the files of the encoder share. */
#ifndef NANOSMITH_INTERNAL_H
#define NANOSMITH_INTERNAL_H

#include "encoder.h"

#define PANEL 16                    /* outputs whose weights lie together */
#define GROUP 4                     /* inputs of one 32-bit product sum */
#define GROUP_BYTES (PANEL * GROUP) /* 64: one group of a panel */
#define ALIGNMENT 64
#define MAX_ROW_TOKENS 8192
#define PASS_TOKENS 64 /* of several short rows that go through the layers together */
#define QUERIES 16     /* of one block of attention */
#define HEAD_ROWS 4    /* of one block of a head */

static inline size_t padded(size_t count, size_t multiple) { return (count + multiple - 1) / multiple * multiple; }

/* Weights in the order in which a pass reads them: panels of 16 outputs, in each the groups of 4 inputs, in each 16 x 4
   numbers. The number of panels and that of groups are even; what was added is 0.

   Where two groups are summed in 16 bits (AVX2), weights whose sum could overflow are taken out of the panel and stand
   in `extra_weights` with the number of their group; those of panel p are extra_starts[p] … extra_starts[p + 1]. */
struct packed {
    int32_t inner, outer; /* outer: padded to two panels */
    int32_t groups, panels;
    const int8_t *weights;
    float *scale, *bias, *factor;
    int32_t *sums; /* of each output's weights */
    int32_t *extra_starts, *extra_groups;
    int8_t *extra_weights;
};

struct packed_layer {
    struct packed qkv, attention_out, up, down;
};

/* The input of a linear layer: numbers 0 … 255 in rows of `stride` bytes; x = (a - zero) * scale. */
struct quantised {
    uint8_t *values;
    size_t stride;
    float *scales;
    int32_t *zeros;
};

/* out (rows, outer) = a @ weights, scaled and with bias. */
typedef void multiply(const struct packed *linear, const struct quantised *input, int32_t rows, float *out);

struct encoder {
    struct description is;
    struct packed_layer *layers;
    struct layer *sources; /* a copy of the description's layers */
    int8_t *weights;       /* of all linear layers, in the order of use */
    size_t weights_bytes;
    multiply *multiply;
    int32_t (*forward)(struct encoder *, const struct request *);
    void *spare; /* scratch of a finished pass, or NULL */
};

/* Scratch of one pass. */
struct scratch {
    int32_t tokens, row_tokens; /* how many it has room for */
    float *hidden, *wide, *mixed, *keys, *scores, *heads;
    struct quantised quantised;
};

struct scratch *take_scratch(struct encoder *encoder, int32_t tokens, int32_t row_tokens);
void give_scratch(struct encoder *encoder, struct scratch *scratch);

/* Sizes without overflow: 0 is never a size that is asked for. */
size_t packed_bytes(const struct linear *linear);
int pack(struct packed *packed, const struct linear *linear, int8_t *weights, int sums_in_16_bits);
void free_packed(struct packed *packed);

int32_t forward_portable(struct encoder *encoder, const struct request *request);
int32_t forward_avx2(struct encoder *encoder, const struct request *request);
multiply multiply_portable, multiply_avx2, multiply_vnni;

#endif
