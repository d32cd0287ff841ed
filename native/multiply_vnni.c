/* For CPUs with AVX-512 VNNI: vpdpbusd sums four products in 32 bits. */
#include "internal.h"

#include <immintrin.h>
#include <string.h>

#define ROWS 8 /* of a tile, of two panels: 16 vectors of sums */

/* Rows [row, row + count) of panels `panel` and the next; `count` is a constant where this is inlined. */
static inline __attribute__((always_inline)) void tile(const int count, const struct packed *linear, int32_t panel,
                                                       const struct quantised *input, int32_t row, float *out) {
    const uint8_t *a = input->values + (size_t)row * input->stride;
    const size_t stride = input->stride, panel_bytes = (size_t)linear->groups * GROUP_BYTES;
    const int8_t *w = linear->weights + (size_t)panel * panel_bytes;
    __m512i sums[ROWS][2];
    for (int r = 0; r < count; r++) sums[r][0] = sums[r][1] = _mm512_setzero_si512();
    for (int32_t group = 0; group < linear->groups; group++, w += GROUP_BYTES) {
        const __m512i w0 = _mm512_load_si512(w), w1 = _mm512_load_si512(w + panel_bytes);
        if (row == 0) { /* the next two panels, while these are read for the first time */
            _mm_prefetch((const char *)w + 2 * panel_bytes, _MM_HINT_T1);
            _mm_prefetch((const char *)w + 3 * panel_bytes, _MM_HINT_T1);
        }
#pragma GCC unroll 8
        for (int r = 0; r < count; r++) {
            int32_t four;
            memcpy(&four, a + (size_t)r * stride + (size_t)group * GROUP, sizeof four);
            const __m512i a0 = _mm512_set1_epi32(four);
            sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], a0, w0);
            sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], a0, w1);
        }
    }
    for (int r = 0; r < count; r++) {
        const __m512i zero = _mm512_set1_epi32(input->zeros[row + r]);
        const __m512 scale = _mm512_set1_ps(input->scales[row + r]);
        for (int v = 0; v < 2; v++) {
            const int32_t n = (panel + v) * PANEL;
            const __m512i shift = _mm512_mullo_epi32(zero, _mm512_loadu_si512(linear->sums + n));
            const __m512 value = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums[r][v], shift));
            const __m512 scales = _mm512_mul_ps(scale, _mm512_loadu_ps(linear->scale + n));
            _mm512_storeu_ps(out + (size_t)(row + r) * (size_t)linear->outer + n,
                             _mm512_fmadd_ps(value, scales, _mm512_loadu_ps(linear->bias + n)));
        }
    }
}

void multiply_vnni(const struct packed *linear, const struct quantised *input, int32_t rows, float *out) {
    for (int32_t panel = 0; panel < linear->panels; panel += 2) {
        int32_t row = 0;
        for (; row + 8 <= rows; row += 8) tile(8, linear, panel, input, row, out);
        switch (rows - row) {
            case 7: tile(7, linear, panel, input, row, out); break;
            case 6: tile(6, linear, panel, input, row, out); break;
            case 5: tile(5, linear, panel, input, row, out); break;
            case 4: tile(4, linear, panel, input, row, out); break;
            case 3: tile(3, linear, panel, input, row, out); break;
            case 2: tile(2, linear, panel, input, row, out); break;
            case 1: tile(1, linear, panel, input, row, out); break;
            default: break;
        }
    }
}
