/* The product of quantised rows and packed weights in plain C: the reference of the others. */
#include "internal.h"

static void panel_of_row(const uint8_t *a, const int8_t *weights, int32_t groups, int32_t *sums) {
    for (int32_t n = 0; n < PANEL; n++) sums[n] = 0;
    for (int32_t group = 0; group < groups; group++)
        for (int32_t n = 0; n < PANEL; n++)
            for (int32_t i = 0; i < GROUP; i++)
                sums[n] += a[group * GROUP + i] * weights[(size_t)group * GROUP_BYTES + (size_t)(n * GROUP + i)];
}

void multiply_portable(const struct packed *linear, const struct quantised *input, int32_t rows, float *out) {
    for (int32_t panel = 0; panel < linear->panels; panel++) {
        const int8_t *weights = linear->weights + (size_t)panel * (size_t)linear->groups * GROUP_BYTES;
        for (int32_t row = 0; row < rows; row++) {
            int32_t sums[PANEL];
            panel_of_row(input->values + (size_t)row * input->stride, weights, linear->groups, sums);
            for (int32_t i = 0; i < PANEL; i++) {
                int32_t n = panel * PANEL + i;
                float scale = input->scales[row] * linear->scale[n];
                out[(size_t)row * (size_t)linear->outer + (size_t)n] =
                    (float)(sums[i] - input->zeros[row] * linear->sums[n]) * scale + linear->bias[n];
            }
        }
    }
}
