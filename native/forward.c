/* The forward pass, compiled once for each width of vectors; FORWARD is the name that it gets. */
#include "internal.h"
#include "lanes.h"

#include <math.h>

#define MASKED (-1e30f) /* the score of what is not there */

/* Rows of floats. */
struct matrix {
    float *values;
    size_t stride;
};

INLINE void store_bytes(uint8_t *to, ints value) {
#ifdef __AVX2__
    const __m256i v = (__m256i)value;
    const __m128i shorts = _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    _mm_storel_epi64((__m128i *)to, _mm_packus_epi16(shorts, shorts));
#else
    for (int i = 0; i < LANES; i++) to[i] = (uint8_t)value[i];
#endif
}

/* x * factor as bytes with a scale and zero point of its own, which 0 falls on. `count` is a multiple of 8. */
static void quantise_row(const float *x, const float *factor, int32_t count, uint8_t *to, float *scale, int32_t *zero) {
    floats lo = {0}, hi = {0};
    for (int32_t i = 0; i < count; i += LANES) {
        const floats value = load(x + i) * load(factor + i);
        lo = smaller(lo, value);
        hi = larger(hi, value);
    }
    const float low = least(lo), range = most(hi) - low;
    const float inverse = range > 0 ? 255.0f / range : 0.0f;
    const float at = rintf(-low * inverse);
    const float round = 8388608.0f; /* 2^23: adding it leaves an integer in the lowest bits */
    *scale = range > 0 ? range / 255.0f : 0.0f;
    *zero = (int32_t)at;
    for (int32_t i = 0; i < count; i += LANES) {
        const floats value = load(x + i) * load(factor + i) * inverse + at;
        const floats kept = smaller(larger(value, all(0.0f)), all(255.0f));
        store_bytes(to + i, (ints)(kept + round) & 255);
    }
}

static void linear(struct encoder *encoder, const struct packed *layer, struct matrix x, int32_t rows,
                   struct quantised *scratch, float *out) {
    scratch->stride = (size_t)layer->groups * GROUP;
    for (int32_t row = 0; row < rows; row++)
        quantise_row(x.values + (size_t)row * x.stride, layer->factor, layer->inner,
                     scratch->values + (size_t)row * scratch->stride, scratch->scales + row, scratch->zeros + row);
    encoder->multiply(layer, scratch, rows, out);
}

static void normalise(float *x, const float *scale, const float *shift, int32_t width, float epsilon) {
    floats sum = {0}, squares = {0};
    for (int32_t i = 0; i < width; i += LANES) sum += load(x + i);
    const float mean = total(sum) / (float)width;
    for (int32_t i = 0; i < width; i += LANES) {
        const floats apart = load(x + i) - mean;
        squares += apart * apart;
    }
    const float inverse = 1.0f / sqrtf(total(squares) / (float)width + epsilon);
    for (int32_t i = 0; i < width; i += LANES)
        store(x + i, (load(x + i) - mean) * inverse * load(scale + i) + load(shift + i));
}

/* hidden = norm(hidden + y) */
static void add_and_norm(const struct description *is, struct matrix y, int32_t rows, const float *scale,
                         const float *shift, float *hidden) {
    for (int32_t row = 0; row < rows; row++) {
        float *x = hidden + (size_t)row * (size_t)is->width;
        const float *more = y.values + (size_t)row * y.stride;
        for (int32_t i = 0; i < is->width; i += LANES) store(x + i, load(x + i) + load(more + i));
        normalise(x, scale, shift, is->width, is->epsilon);
    }
}

/* `count` rows and `vectors` vectors of c = a @ b; both are constants where this is inlined. */
INLINE void product_tile(const int count, const int vectors, struct matrix a, struct matrix b, struct matrix c,
                         int32_t inner) {
    floats sums[4][4];
    for (int r = 0; r < count; r++)
        for (int v = 0; v < vectors; v++) sums[r][v] = all(0.0f);
    for (int32_t k = 0; k < inner; k++) {
        floats columns[4];
        for (int v = 0; v < vectors; v++) columns[v] = load(b.values + (size_t)k * b.stride + (size_t)(v * LANES));
        for (int r = 0; r < count; r++)
            for (int v = 0; v < vectors; v++) sums[r][v] += a.values[(size_t)r * a.stride + (size_t)k] * columns[v];
    }
    for (int r = 0; r < count; r++)
        for (int v = 0; v < vectors; v++) store(c.values + (size_t)r * c.stride + (size_t)(v * LANES), sums[r][v]);
}

/* c (rows, columns) = a (rows, inner) @ b (inner, columns); `columns` is a multiple of 8. */
static void product(struct matrix a, struct matrix b, struct matrix c, int32_t rows, int32_t columns, int32_t inner) {
    const int wide = 16 / LANES, narrow = 8 / LANES;
    for (int32_t column = 0; column < columns; column += 16) {
        const struct matrix some = {b.values + column, b.stride};
        const int two = columns - column >= 16;
        int32_t row = 0;
        while (row < rows) {
            const struct matrix from = {a.values + (size_t)row * a.stride, a.stride};
            const struct matrix to = {c.values + (size_t)row * c.stride + column, c.stride};
            const int four = rows - row >= 4;
            if (two && four) product_tile(4, wide, from, some, to, inner);
            else if (two) product_tile(1, wide, from, some, to, inner);
            else if (four) product_tile(4, narrow, from, some, to, inner);
            else product_tile(1, narrow, from, some, to, inner);
            row += four ? 4 : 1;
        }
    }
}

/* The scores (columns, of them `real`) of one query as shares that sum to 1. */
static void softmax(float *scores, int32_t columns, int32_t real, float scale) {
    for (int32_t i = real; i < columns; i++) scores[i] = MASKED;
    floats high = all(MASKED), sum = {0};
    for (int32_t i = 0; i < columns; i += LANES) high = larger(high, load(scores + i));
    const float top = most(high);
    for (int32_t i = 0; i < columns; i += LANES) {
        const floats power = exponential((load(scores + i) - top) * scale);
        store(scores + i, power);
        sum += power;
    }
    for (int32_t i = real; i < columns; i++) sum[i % LANES] -= scores[i];
    const float inverse = 1.0f / total(sum);
    for (int32_t i = 0; i < columns; i += LANES) store(scores + i, load(scores + i) * inverse);
}

/* One head of one row: `qkv` begins at the row's first query; keys and values lie `apart` and 2 `apart` further. */
static void attend(struct scratch *scratch, struct matrix qkv, int32_t apart, int32_t size, int32_t tokens,
                   int32_t queries, struct matrix mixed) {
    const int32_t columns = (int32_t)padded((size_t)tokens, 8);
    const struct matrix keys = {scratch->keys, (size_t)columns}, scores = {scratch->scores, (size_t)columns};
    const struct matrix values = {qkv.values + 2 * (size_t)apart, qkv.stride};
    for (int32_t d = 0; d < size; d++)
        for (int32_t t = 0; t < columns; t++)
            keys.values[(size_t)d * keys.stride + (size_t)t] =
                t < tokens ? qkv.values[(size_t)t * qkv.stride + (size_t)(apart + d)] : 0.0f;
    for (int32_t first = 0; first < queries; first += QUERIES) {
        const int32_t count = queries - first < QUERIES ? queries - first : QUERIES;
        const struct matrix query = {qkv.values + (size_t)first * qkv.stride, qkv.stride};
        const struct matrix to = {mixed.values + (size_t)first * mixed.stride, mixed.stride};
        product(query, keys, scores, count, columns, size);
        for (int32_t i = 0; i < count; i++)
            softmax(scores.values + (size_t)i * scores.stride, columns, tokens, 1.0f / sqrtf((float)size));
        product(scores, values, to, count, size, tokens);
    }
}

/* All heads of all rows; with `firsts` only for the first token of each. Returns how many rows of `mixed` there are. */
static int32_t attention(struct scratch *scratch, const struct packed_layer *layer, int32_t heads,
                         const int32_t *lengths, int32_t rows, int firsts) {
    const int32_t apart = layer->attention_out.inner, size = apart / heads;
    const size_t stride = (size_t)layer->qkv.outer;
    int32_t token = 0, done = 0;
    for (int32_t row = 0; row < rows; row++) {
        const int32_t queries = firsts ? 1 : lengths[row];
        for (int32_t head = 0; head < heads; head++) {
            const struct matrix qkv = {scratch->wide + (size_t)token * stride + head * size, stride};
            const struct matrix to = {scratch->mixed + (size_t)done * (size_t)apart + head * size, (size_t)apart};
            attend(scratch, qkv, apart, size, lengths[row], queries, to);
        }
        token += lengths[row];
        done += queries;
    }
    return done;
}

/* Keeps of `hidden` the first token of each row. */
static void keep_firsts(float *hidden, size_t width, const int32_t *lengths, int32_t rows) {
    size_t token = 0;
    for (int32_t row = 0; row < rows; row++) {
        memmove(hidden + (size_t)row * width, hidden + token * width, width * sizeof(float));
        token += (size_t)lengths[row];
    }
}

/* One layer over `tokens` rows of scratch->hidden; with `firsts` only the first token of each row is left. */
static void run_layer(struct encoder *encoder, int32_t number, struct scratch *scratch, const int32_t *lengths,
                      int32_t rows, int32_t tokens, int firsts) {
    const struct description *is = &encoder->is;
    const struct packed_layer *layer = &encoder->layers[number];
    const struct layer *source = &encoder->sources[number];
    const struct matrix hidden = {scratch->hidden, (size_t)is->width};
    const struct matrix mixed = {scratch->mixed, (size_t)layer->attention_out.inner};
    const struct matrix wide = {scratch->wide, (size_t)layer->up.outer};
    const struct matrix back = {scratch->mixed, (size_t)layer->down.outer};
    linear(encoder, &layer->qkv, hidden, tokens, &scratch->quantised, scratch->wide);
    tokens = attention(scratch, layer, source->heads, lengths, rows, firsts);
    if (firsts) keep_firsts(scratch->hidden, (size_t)is->width, lengths, rows);
    linear(encoder, &layer->attention_out, mixed, tokens, &scratch->quantised, scratch->mixed);
    add_and_norm(is, back, tokens, source->norm1_scale, source->norm1_shift, scratch->hidden);
    linear(encoder, &layer->up, hidden, tokens, &scratch->quantised, scratch->wide);
    for (size_t i = 0; i < (size_t)tokens * wide.stride; i += LANES)
        store(wide.values + i, gelu(load(wide.values + i)));
    linear(encoder, &layer->down, wide, tokens, &scratch->quantised, scratch->mixed);
    add_and_norm(is, back, tokens, source->norm2_scale, source->norm2_shift, scratch->hidden);
}

static void embed(const struct description *is, const int32_t *ids, const int32_t *codes, const int32_t *lengths,
                  int32_t rows, float *hidden) {
    const size_t width = (size_t)is->width;
    for (int32_t row = 0; row < rows; row++)
        for (int32_t t = 0; t < lengths[row]; t++, ids++, hidden += width) {
            const int8_t *word = is->words + (size_t)*ids * width;
            const float scale = is->word_scales[*ids], *position = is->positions + (size_t)t * width;
            for (size_t i = 0; i < width; i++) hidden[i] = (float)word[i] * scale + position[i];
            normalise(hidden, is->norm_scale, is->norm_shift, is->width, is->epsilon);
            if (!codes) continue;
            const float *code = is->code_table + (size_t)*codes++ * width;
            for (size_t i = 0; i < width; i += LANES) store(hidden + i, load(hidden + i) + load(code + i));
        }
}

/* Each row's vector (D), of length 1, from `hidden`: its first token's, or the mean of all. */
static void pool(const struct description *is, const float *hidden, const int32_t *lengths, int32_t rows, int firsts,
                 float *vectors) {
    const size_t width = (size_t)is->width;
    for (int32_t row = 0; row < rows; row++, vectors += width) {
        const int32_t tokens = firsts ? 1 : lengths[row], read = is->pools_first ? 1 : tokens;
        floats squares = {0};
        for (size_t i = 0; i < width; i += LANES) {
            floats sum = {0};
            for (int32_t t = 0; t < read; t++) sum += load(hidden + (size_t)t * width + i);
            sum = sum / (float)read;
            squares += sum * sum;
            store(vectors + i, sum);
        }
        const float length = sqrtf(total(squares)), inverse = length > 0 ? 1.0f / length : 0.0f;
        for (size_t i = 0; i < width; i += LANES) store(vectors + i, load(vectors + i) * inverse);
        hidden += (size_t)tokens * width;
    }
}

/* out (rows, columns) = x @ weight + bias; weight and bias have a multiple of 8 columns. */
static void apply_head(struct scratch *scratch, struct matrix x, int32_t rows, const float *weight, const float *bias,
                       int32_t width, int32_t columns, float *out) {
    const int32_t room = (int32_t)padded((size_t)columns, 8);
    const struct matrix weights = {(float *)weight, (size_t)room}, to = {scratch->heads, (size_t)room};
    for (int32_t row = 0; row < rows; row += HEAD_ROWS) {
        const int32_t count = rows - row < HEAD_ROWS ? rows - row : HEAD_ROWS;
        const struct matrix from = {x.values + (size_t)row * x.stride, x.stride};
        product(from, weights, to, count, room, width);
        for (int32_t r = 0; r < count; r++)
            for (int32_t i = 0; i < columns; i++, out++) *out = to.values[(size_t)r * to.stride + (size_t)i] + bias[i];
    }
}

/* Rows that go through the layers together, and where their outputs begin in a request's. */
struct pass {
    int32_t first_row, rows, first_token, tokens;
};

static void write_outputs(struct encoder *encoder, const struct request *request, struct scratch *scratch,
                          struct pass pass, int firsts) {
    const struct description *is = &encoder->is;
    const size_t width = (size_t)is->width, row = (size_t)pass.first_row, token = (size_t)pass.first_token;
    const struct matrix hidden = {scratch->hidden, width}, vectors = {scratch->mixed, width};
    if (request->tokens)
        memcpy(request->tokens + token * width, hidden.values, (size_t)pass.tokens * width * sizeof(float));
    if (request->tags)
        apply_head(scratch, hidden, pass.tokens, is->tag_weight, is->tag_bias, is->width, is->tags,
                   request->tags + token * (size_t)is->tags);
    if (!request->logits && !request->embeddings) return;
    pool(is, hidden.values, request->lengths + row, pass.rows, firsts, vectors.values);
    if (request->embeddings)
        memcpy(request->embeddings + row * width, vectors.values, (size_t)pass.rows * width * sizeof(float));
    if (request->logits)
        apply_head(scratch, vectors, pass.rows, is->head_weight, is->head_bias, is->width, is->labels,
                   request->logits + row * (size_t)is->labels);
}

static int32_t run_pass(struct encoder *encoder, const struct request *request, struct pass pass) {
    const struct description *is = &encoder->is;
    const int32_t *lengths = request->lengths + pass.first_row;
    int32_t longest = 0;
    for (int32_t row = 0; row < pass.rows; row++) longest = lengths[row] > longest ? lengths[row] : longest;
    struct scratch *scratch = take_scratch(encoder, pass.tokens, longest);
    if (!scratch) return NO_MEMORY;
    embed(is, request->ids + pass.first_token, request->codes ? request->codes + pass.first_token : NULL, lengths,
          pass.rows, scratch->hidden);
    const int firsts = is->pools_first && !request->tags && !request->tokens && is->layer_count > 0;
    for (int32_t layer = 0; layer < is->layer_count; layer++)
        run_layer(encoder, layer, scratch, lengths, pass.rows, pass.tokens, firsts && layer == is->layer_count - 1);
    write_outputs(encoder, request, scratch, pass, firsts);
    give_scratch(encoder, scratch);
    return OK;
}

int32_t FORWARD(struct encoder *encoder, const struct request *request) {
    struct pass pass = {0, 0, 0, 0};
    int32_t failed = OK;
    while (!failed && pass.first_row < request->rows) {
        pass.rows = pass.tokens = 0;
        do pass.tokens += request->lengths[pass.first_row + pass.rows++];
        while (pass.first_row + pass.rows < request->rows &&
               pass.tokens + request->lengths[pass.first_row + pass.rows] <= PASS_TOKENS);
        failed = run_pass(encoder, request, pass);
        pass.first_row += pass.rows;
        pass.first_token += pass.tokens;
    }
    return failed;
}
