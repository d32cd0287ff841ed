/* Vectors of floats in GCC's and Clang's own notation: 8 with AVX2, else 4 (SSE2, NEON). */
#ifndef NANOSMITH_LANES_H
#define NANOSMITH_LANES_H

#include <stdint.h>
#include <string.h>

#ifdef __AVX2__
#include <immintrin.h>
#define LANES 8
#else
#define LANES 4
#endif

typedef float floats __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t ints __attribute__((vector_size(LANES * sizeof(int32_t))));
#define INLINE static inline __attribute__((always_inline))

INLINE floats load(const float *from) {
    floats value;
    memcpy(&value, from, sizeof value);
    return value;
}

INLINE void store(float *to, floats value) { memcpy(to, &value, sizeof value); }

INLINE floats all(float value) { return value - (floats){0}; }

#ifdef __AVX2__
INLINE floats smaller(floats a, floats b) { return (floats)_mm256_min_ps((__m256)a, (__m256)b); }
INLINE floats larger(floats a, floats b) { return (floats)_mm256_max_ps((__m256)a, (__m256)b); }
#else
/* Where the bits of `which` are set (-1) the first, else (0) the second. */
INLINE floats chosen(ints which, floats one, floats other) {
    return (floats)(((ints)one & which) | ((ints)other & ~which));
}

INLINE floats smaller(floats a, floats b) { return chosen(a < b, a, b); }
INLINE floats larger(floats a, floats b) { return chosen(a > b, a, b); }
#endif

INLINE float total(floats value) {
    float sum = 0;
    for (int i = 0; i < LANES; i++) sum += value[i];
    return sum;
}

INLINE float least(floats value) {
    float found = value[0];
    for (int i = 1; i < LANES; i++) found = value[i] < found ? value[i] : found;
    return found;
}

INLINE float most(floats value) {
    float found = value[0];
    for (int i = 1; i < LANES; i++) found = value[i] > found ? value[i] : found;
    return found;
}

/* e^x for x <= 0. 2^n * e^r with |r| <= ln(2) / 2; e^r by a polynomial of degree 6, fitted by weighted least squares
   to the smallest largest error (3e-9). */
INLINE floats exponential(floats x) {
    const float round = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer in the lowest bits */
    x = larger(x, all(-87.0f));
    const floats shifted = x * 1.44269504f + round;
    const floats n = shifted - round;
    const floats r = (x - n * 0.693359375f) + n * 2.12194440e-4f; /* ln(2) in two parts (Cody & Waite 1980) */
    floats p = all(0.00139506010f);
    p = p * r + 0.00836895406f;
    p = p * r + 0.0416662060f;
    p = p * r + 0.166665182f;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const ints power = ((ints)shifted - (ints)all(round) + 127) << 23;
    return p * (floats)power;
}

/* x / 2 * (1 + erf(x / sqrt(2))): GELU (Hendrycks & Gimpel 2016) without its approximations.
   erf(z) = z P(z^2) / Q(z^2), fitted by weighted least squares on |z| <= 3.92, from where on it is 1 in float32; its
   largest error is 4e-7. */
INLINE floats gelu(floats x) {
    const floats z = larger(smaller(x * 0.707106781f, all(3.92f)), all(-3.92f));
    const floats s = z * z;
    floats p = all(2.05009110e-06f), q = all(3.80917445e-05f);
    p = p * s + 2.84882524e-04f;
    q = q * s + 1.16253260e-03f;
    p = p * s + 3.76560446e-03f;
    q = q * s + 1.49691924e-02f;
    p = p * s + 5.27486876e-02f;
    q = q * s + 1.14108987e-01f;
    p = p * s + 1.90406159e-01f;
    q = q * s + 5.02075791e-01f;
    p = p * s + 1.12837911f;
    q = q * s + 1.0f;
    return 0.5f * x * (1.0f + z * p / q);
}

#endif
